#include "frontend/nbd/negotiation.h"

#include <gtest/gtest.h>

#include <string>

#include "frontend/nbd/bytes.h"
#include "frontend/nbd/export.h"
#include "frontend/testing/manual_executor.h"
#include "frontend/testing/memory_device.h"

namespace cleat::nbd {
namespace {

class NegotiationTest : public ::testing::Test {
 protected:
  NegotiationTest() { exports_.add(export_); }

  void say_flags(uint32_t flags) { append(in_, flags); }
  void say(uint32_t option, const std::vector<std::byte>& data = {}) {
    append(in_, kOptionMagic);
    append(in_, option);
    append(in_, static_cast<uint32_t>(data.size()));
    in_.insert(in_.end(), data.begin(), data.end());
  }
  void say(Option option, const std::vector<std::byte>& data = {}) {
    say(static_cast<uint32_t>(option), data);
  }
  static std::vector<std::byte> info_request(std::string_view name,
                                             std::vector<uint16_t> infos = {}) {
    std::vector<std::byte> data;
    append(data, static_cast<uint32_t>(name.size()));
    append(data, name);
    append(data, static_cast<uint16_t>(infos.size()));
    for (uint16_t info : infos) append(data, info);
    return data;
  }

  // Everything that was said; true once it ended.
  Result<bool> run() {
    for (;;) {
      TRY_ASSIGN(Negotiation::Step step, negotiation_.consume(in_, out_));
      in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(step.consumed));
      if (step.has_ended) return true;
      if (step.consumed == 0) return false;
    }
  }

  uint32_t reply_type(size_t at = 0) { return load_u32(out_.data() + at + 12); }

  frontend::ManualExecutor executor_;
  io::BufferPool pool_;
  AlignedBuffer memory_{1 << 20};
  frontend::MemoryDevice memory_device_{executor_, memory_.span()};
  frontend::AlignedDevice device_{executor_, pool_, memory_device_};
  Export export_{executor_, device_, "db"};
  ExportList exports_;
  Negotiation negotiation_{exports_};
  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
};

TEST_F(NegotiationTest, GoChoosesAndDescribes) {
  say_flags(kFixedNewstyle | kNoZeroes);
  say(Option::kGo, info_request("db", {static_cast<uint16_t>(Info::kName)}));
  Result<bool> ended = run();
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ(negotiation_.chosen(), &export_);
  ASSERT_GE(out_.size(), kOptionReplyHeaderBytes + 12);
  EXPECT_EQ(load_u64(out_.data()), kOptionReplyMagic);
  EXPECT_EQ(reply_type(), static_cast<uint32_t>(OptionReply::kInfo));
  EXPECT_EQ(load_u64(out_.data() + 22), 1u << 20);
  size_t last = out_.size() - kOptionReplyHeaderBytes;
  EXPECT_EQ(reply_type(last), static_cast<uint32_t>(OptionReply::kAck));
}

TEST_F(NegotiationTest, InfoDescribesAndGoesOn) {
  say_flags(kFixedNewstyle);
  say(Option::kInfo, info_request("db"));
  Result<bool> ended = run();
  ASSERT_TRUE(ended);
  EXPECT_FALSE(*ended);
  EXPECT_EQ(negotiation_.chosen(), nullptr);
  EXPECT_FALSE(out_.empty());
}

TEST_F(NegotiationTest, UnknownNameIsToldAndTheClientMayTryAgain) {
  say_flags(kFixedNewstyle);
  say(Option::kGo, info_request("nope"));
  Result<bool> ended = run();
  ASSERT_TRUE(ended);
  EXPECT_FALSE(*ended);
  EXPECT_EQ(reply_type(), static_cast<uint32_t>(OptionReply::kUnknown));
  out_.clear();
  say(Option::kGo, info_request("db"));
  ended = run();
  ASSERT_TRUE(ended && *ended);
}

TEST_F(NegotiationTest, ExportNameAnswersWithZeroesUnlessDeclined) {
  say_flags(kFixedNewstyle);
  std::vector<std::byte> name;
  append(name, std::string_view("db"));
  say(Option::kExportName, name);
  Result<bool> ended = run();
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ(out_.size(), 8u + 2u + 124u);
  EXPECT_EQ(load_u16(out_.data() + 8), export_.transmission_flags());
}

TEST_F(NegotiationTest, ExportNameOfNothingEndsTheConnection) {
  say_flags(kFixedNewstyle);
  say(Option::kExportName);
  Result<bool> ended = run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kNotFound);
}

TEST_F(NegotiationTest, ListNamesEveryExport) {
  say_flags(kFixedNewstyle);
  say(Option::kList);
  ASSERT_TRUE(run());
  EXPECT_EQ(reply_type(), static_cast<uint32_t>(OptionReply::kServer));
  EXPECT_EQ(load_u32(out_.data() + 20), 2u);
  EXPECT_EQ(reply_type(kOptionReplyHeaderBytes + 6), static_cast<uint32_t>(OptionReply::kAck));
}

TEST_F(NegotiationTest, AbortIsAcknowledged) {
  say_flags(kFixedNewstyle);
  say(Option::kAbort);
  Result<bool> ended = run();
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ(negotiation_.chosen(), nullptr);
  EXPECT_EQ(reply_type(), static_cast<uint32_t>(OptionReply::kAck));
}

TEST_F(NegotiationTest, UnknownOptionsAreRefusedPolitely) {
  say_flags(kFixedNewstyle);
  for (uint32_t option : {0u, 5u, 8u, 9u, 10u, 11u, 4711u}) {
    out_.clear();
    say(option, {std::byte{1}, std::byte{2}});
    ASSERT_TRUE(run());
    EXPECT_EQ(reply_type(), static_cast<uint32_t>(OptionReply::kUnsupported)) << option;
  }
}

TEST_F(NegotiationTest, BadInfoRequestsAreInvalidNotFatal) {
  say_flags(kFixedNewstyle);
  std::vector<std::byte> longer_name;
  append(longer_name, uint32_t{0xffffffff});
  append(longer_name, uint16_t{0});
  std::vector<std::byte> short_list = info_request("db", {1});
  short_list.pop_back();
  for (const auto& data : {std::vector<std::byte>{}, longer_name, short_list}) {
    out_.clear();
    say(Option::kGo, data);
    Result<bool> ended = run();
    ASSERT_TRUE(ended);
    EXPECT_FALSE(*ended);
    EXPECT_EQ(reply_type(), static_cast<uint32_t>(OptionReply::kInvalid));
  }
}

TEST_F(NegotiationTest, GarbageEndsTheConnection) {
  say_flags(0xffff);
  EXPECT_FALSE(run());
  Negotiation other(exports_);
  in_.clear();
  append(in_, uint32_t{kFixedNewstyle});
  in_.resize(in_.size() + kOptionHeaderBytes, std::byte{7});
  Result<Negotiation::Step> step = other.consume(in_, out_);
  ASSERT_TRUE(step);
  EXPECT_FALSE(other.consume(ConstBuffer(in_).subspan(step->consumed), out_));
}

TEST_F(NegotiationTest, LimitsHold) {
  say_flags(kFixedNewstyle);
  append(in_, kOptionMagic);
  append(in_, uint32_t{3});
  append(in_, uint32_t{0x7fffffff});
  Result<bool> ended = run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kLimit);

  Negotiation patient(exports_);
  std::vector<std::byte> flags;
  append(flags, uint32_t{kFixedNewstyle});
  ASSERT_TRUE(patient.consume(flags, out_));
  in_.clear();
  say(4711u);
  Result<Negotiation::Step> step;
  uint32_t count = 0;
  while ((step = patient.consume(in_, out_))) ASSERT_LE(++count, kOptionsMax);
  EXPECT_EQ(step.error().code, Code::kLimit);
}

TEST_F(NegotiationTest, EveryPrefixWaitsForMore) {
  say_flags(kFixedNewstyle);
  say(Option::kGo, info_request("db"));
  for (size_t bytes = 0; bytes < in_.size(); ++bytes) {
    Negotiation fresh(exports_);
    ConstBuffer rest = ConstBuffer(in_).first(bytes);
    for (;;) {
      Result<Negotiation::Step> step = fresh.consume(rest, out_);
      ASSERT_TRUE(step);
      ASSERT_FALSE(step->has_ended);
      if (step->consumed == 0) break;
      rest = rest.subspan(step->consumed);
    }
  }
}

}  // namespace
}  // namespace cleat::nbd
