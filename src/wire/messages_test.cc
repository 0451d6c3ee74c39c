#include "wire/messages.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "common/crc32c.h"
#include "wire/codec.h"

namespace cleat::wire {
namespace {

Header sample() {
  Header header;
  header.type = Type::kWrite;
  header.flags = kFua;
  header.request_id = 0x0102030405060708;
  header.volume = VolumeId(0x1112131415161718);
  header.epoch = Epoch(0x2122232425262728);
  header.seq = Seq(0x3132333435363738);
  header.range = BlockRange{0x4142434445464748, 2};
  header.member = 3;
  header.generation = Generation(0x5152535455565758);
  header.known_everywhere = Seq(0x6162636465666768);
  header.snapshot = SnapshotId(0x7172737475767778);
  header.payload_bytes = 8192;
  header.payload_crc = 0x81828384;
  return header;
}

std::string hex(ConstBuffer bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i != 0) text += i % 16 == 0 ? "\n" : " ";
    text += fmt::format("{:02x}", static_cast<unsigned>(bytes[i]));
  }
  return text;
}

// Changes a field behind the back of encode(), with a valid checksum over the result.
template <class T>
HeaderBytes forge(HeaderBytes bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  uint32_t crc = crc32c(bytes.data(), 92);
  std::memcpy(bytes.data() + 92, &crc, sizeof crc);
  return bytes;
}

Code code_of(ConstBuffer bytes) {
  Result<Header> header = decode(bytes);
  EXPECT_FALSE(header);
  return header ? Code::kClosed : header.error().code;
}

// The protocol itself: a change here is a new version of it.
TEST(Frame, GoldenBytesOfARequest) {
  EXPECT_EQ(hex(encode(sample())),
            "43 4c 54 31 01 00 03 02 08 07 06 05 04 03 02 01\n"
            "18 17 16 15 14 13 12 11 28 27 26 25 24 23 22 21\n"
            "38 37 36 35 34 33 32 31 48 47 46 45 44 43 42 41\n"
            "02 00 00 00 00 00 03 00 58 57 56 55 54 53 52 51\n"
            "68 67 66 65 64 63 62 61 78 77 76 75 74 73 72 71\n"
            "00 20 00 00 84 83 82 81 00 00 00 00 ee b0 a8 61");
}

TEST(Frame, GoldenBytesOfARefusal) {
  Header header;
  header.type = Type::kFence;
  header.flags = kReply;
  header.request_id = 0x1001;
  header.volume = VolumeId(7);
  header.epoch = Epoch(9);
  header.error = Code::kStaleEpoch;
  EXPECT_EQ(hex(encode(header)),
            "43 4c 54 31 01 00 02 01 01 10 00 00 00 00 00 00\n"
            "07 00 00 00 00 00 00 00 09 00 00 00 00 00 00 00\n"
            "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
            "00 00 00 00 05 00 00 00 00 00 00 00 00 00 00 00\n"
            "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
            "00 00 00 00 00 00 00 00 00 00 00 00 3c 1e d4 87");
}

TEST(Frame, NumbersOfTheTypesAreForEver) {
  EXPECT_EQ(static_cast<int>(Type::kHeartbeat), 1);
  EXPECT_EQ(static_cast<int>(Type::kWrite), 3);
  EXPECT_EQ(static_cast<int>(Type::kDigest), 11);
  EXPECT_EQ(static_cast<int>(Type::kNextChanged), 19);
  EXPECT_EQ(static_cast<int>(Type::kForward), 26);
  for (uint8_t type = 1; type <= kTypeLast; ++type) {
    EXPECT_NE(to_string(static_cast<Type>(type)), "unknown") << int{type};
  }
  EXPECT_EQ(to_string(static_cast<Type>(kTypeLast + 1)), "unknown");
}

TEST(Frame, EveryTypeAndStatusComesBack) {
  for (uint8_t type = 1; type <= kTypeLast; ++type) {
    for (int code = 0; code <= static_cast<int>(Code::kOutOfRange); ++code) {
      Header header = sample();
      header.type = static_cast<Type>(type);
      header.flags = kReply | kMore;
      if (code != 0) header.error = static_cast<Code>(code);
      Result<Header> back = decode(encode(header));
      ASSERT_TRUE(back) << to_string(back.error());
      EXPECT_EQ(*back, header);
    }
  }
}

TEST(Frame, RefusesEveryTruncation) {
  HeaderBytes bytes = encode(sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(code_of(ConstBuffer(bytes).first(size)), Code::kCorrupt) << size;
  }
}

TEST(Frame, RefusesEveryDamagedBit) {
  const HeaderBytes good = encode(sample());
  for (size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
    HeaderBytes bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_EQ(code_of(bytes), Code::kCorrupt) << bit;
  }
}

TEST(Frame, RefusesWhatItDoesNotKnow) {
  const HeaderBytes good = encode(sample());
  for (int version : {0, 2, 0xffff}) {
    EXPECT_EQ(code_of(forge(good, 4, static_cast<uint16_t>(version))), Code::kUnsupported)
        << version;
  }
  for (int type : {0, kTypeLast + 1, 255}) {
    EXPECT_EQ(code_of(forge(good, 6, static_cast<uint8_t>(type))), Code::kUnsupported) << type;
  }
  for (int flag = 4; flag < 8; ++flag) {
    EXPECT_EQ(code_of(forge(good, 7, static_cast<uint8_t>(1 << flag))), Code::kUnsupported) << flag;
  }
  HeaderBytes reply = forge(good, 7, kReply);
  EXPECT_EQ(
      code_of(forge(reply, 52, static_cast<uint16_t>(static_cast<int>(Code::kOutOfRange) + 1))),
      Code::kUnsupported);
  EXPECT_EQ(code_of(forge(reply, 52, uint16_t{0x0101})), Code::kUnsupported);
  EXPECT_EQ(code_of(forge(good, 55, uint8_t{1})), Code::kUnsupported);
}

TEST(Frame, RefusesWhatContradictsItself) {
  const HeaderBytes good = encode(sample());
  EXPECT_EQ(code_of(forge(good, 52, uint16_t{1})), Code::kCorrupt) << "a request with a status";
  EXPECT_EQ(code_of(forge(good, 40, std::numeric_limits<uint64_t>::max())), Code::kCorrupt);
  EXPECT_EQ(code_of(forge(good, 48, uint32_t{1})), Code::kCorrupt)
      << "write of one block, payload of two";
  EXPECT_EQ(code_of(forge(forge(good, 6, uint8_t{6}), 80, uint32_t{0})), Code::kCorrupt)
      << "a checksum of no payload";
}

TEST(Frame, RefusesAPayloadAboveTheLimit) {
  HeaderBytes reply = forge(encode(sample()), 7, kReply);
  EXPECT_TRUE(decode(forge(reply, 80, kPayloadBytesMax)));
  EXPECT_EQ(code_of(forge(reply, 80, kPayloadBytesMax + 1)), Code::kLimit);
  EXPECT_EQ(code_of(forge(reply, 80, ~uint32_t{0})), Code::kLimit);
}

TEST(Frame, ChecksumOfPartsIsThatOfTheWhole) {
  std::string text = "123456789";
  ConstBuffer all = std::as_bytes(std::span(text));
  std::vector<ConstBuffer> parts{all.first(4), {}, all.subspan(4)};
  EXPECT_EQ(payload_crc(parts), 0xe3069283u);
  EXPECT_EQ(payload_crc({}), 0u);
}

TEST(Codec, ReadsBackWhatWasWritten) {
  std::array<std::byte, 64> memory;
  Writer writer(memory);
  writer.u8(1);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  writer.u64(0x08090a0b0c0d0e0f);
  writer.string("name");
  size_t size = writer.finish().value();
  EXPECT_EQ(size, 1u + 2 + 4 + 8 + 4 + 4);
  EXPECT_EQ(memory[1], std::byte{0x03}) << "little-endian";

  Reader reader(ConstBuffer(memory).first(size));
  EXPECT_EQ(reader.u8().value(), 1);
  EXPECT_EQ(reader.u16().value(), 0x0203);
  EXPECT_EQ(reader.u32().value(), 0x04050607u);
  EXPECT_EQ(reader.u64().value(), 0x08090a0b0c0d0e0fu);
  EXPECT_FALSE(reader.finish());
  EXPECT_EQ(reader.string(4).value(), "name");
  EXPECT_TRUE(reader.finish());
}

TEST(Codec, AnswersWithAnErrorAtTheEnd) {
  std::array<std::byte, 7> memory{};
  Reader reader(memory);
  EXPECT_EQ(reader.u64().error().code, Code::kCorrupt);
  EXPECT_TRUE(reader.u32());
  EXPECT_EQ(reader.u32().error().code, Code::kCorrupt);
  EXPECT_EQ(reader.bytes(4).error().code, Code::kCorrupt);
  EXPECT_EQ(reader.bytes(~size_t{0}).error().code, Code::kCorrupt);
  EXPECT_EQ(reader.remaining(), 3u);

  Writer writer(memory);
  writer.u32(1);
  writer.u32(2);
  EXPECT_EQ(writer.finish().error().code, Code::kLimit);
  writer.u8(3);
  EXPECT_TRUE(writer.overflowed()) << "nothing is written after a field was left out";
  EXPECT_EQ(writer.size(), 4u);
}

TEST(Codec, BoundsStrings) {
  std::array<std::byte, 8> memory{};
  Writer writer(memory);
  writer.u32(~uint32_t{0});
  EXPECT_EQ(Reader(memory).string(100).error().code, Code::kLimit);
  EXPECT_EQ(Reader(memory).string(~size_t{0}).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace cleat::wire
