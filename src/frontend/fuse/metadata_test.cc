#include "frontend/fuse/metadata.h"

#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <cerrno>
#include <vector>

namespace cleat::fuse {
namespace {

constexpr uint64_t kSize = 1 << 30;

class MetadataTest : public ::testing::Test {
 protected:
  template <class Body>
  Request request(fuse_opcode opcode, uint64_t node, const Body& body) {
    return request_of(opcode, node, std::as_bytes(std::span(&body, 1)));
  }
  Request request_of(fuse_opcode opcode, uint64_t node, ConstBuffer body) {
    fuse_in_header header{};
    header.len = static_cast<uint32_t>(sizeof header + body.size());
    header.opcode = static_cast<uint32_t>(opcode);
    header.unique = 77 | kUniqueResend;
    header.nodeid = node;
    ConstBuffer head = std::as_bytes(std::span(&header, 1));
    bytes_.assign(head.begin(), head.end());
    bytes_.insert(bytes_.end(), body.begin(), body.end());
    Result<Request> parsed = parse_request(bytes_);
    EXPECT_TRUE(parsed);
    return *parsed;
  }
  Request lookup(std::string_view name, uint64_t node = kRootNode) {
    std::string text(name);
    return request_of(FUSE_LOOKUP, node, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
  }
  static int error_of(const Answer& answer) {
    fuse_out_header header{};
    std::memcpy(&header, answer.bytes().data(), sizeof header);
    EXPECT_EQ(header.unique, 77 | kUniqueResend)
        << "the answer to a resent request names it as such";
    EXPECT_EQ(header.len, answer.bytes().size());
    return -header.error;
  }
  template <class Body>
  static Body body_of(const Answer& answer) {
    Body body{};
    EXPECT_EQ(answer.bytes().size(), sizeof(fuse_out_header) + sizeof body);
    std::memcpy(&body, answer.bytes().data() + sizeof(fuse_out_header), sizeof body);
    return body;
  }

  std::vector<std::byte> bytes_;
};

TEST_F(MetadataTest, InitTakesWhatTheKernelOffersAndNoMore) {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 44;
  in.flags = ~0u;
  in.flags2 = ~0u;
  auto out = body_of<fuse_init_out>(answer_metadata(request(FUSE_INIT, 0, in), kSize));
  EXPECT_EQ(out.major, 7u);
  EXPECT_TRUE(out.flags & FUSE_ASYNC_DIO);
  EXPECT_TRUE(out.flags & FUSE_MAX_PAGES);
  EXPECT_FALSE(out.flags & FUSE_WRITEBACK_CACHE);
  EXPECT_EQ(out.flags2, kHasResendFlag2);
  EXPECT_EQ(out.max_write, kWriteBytesMax);
  EXPECT_EQ(out.max_pages * 4096u, kWriteBytesMax);

  in.flags = FUSE_ASYNC_DIO;
  in.flags2 = 0;
  out = body_of<fuse_init_out>(answer_metadata(request(FUSE_INIT, 0, in), kSize));
  EXPECT_EQ(out.flags, static_cast<uint32_t>(FUSE_ASYNC_DIO));
  EXPECT_EQ(out.flags2, 0u);
}

TEST_F(MetadataTest, InitOfOtherVersions) {
  fuse_init_in in{};
  in.major = 6;
  EXPECT_EQ(error_of(answer_metadata(request(FUSE_INIT, 0, in), kSize)), EPROTO);
  in.major = 8;
  EXPECT_EQ(body_of<fuse_init_out>(answer_metadata(request(FUSE_INIT, 0, in), kSize)).major, 7u);
  // Kernels before 7.36 send 16 bytes.
  in.major = 7;
  in.flags = ~0u;
  ConstBuffer old = std::as_bytes(std::span(&in, 1)).first(16);
  EXPECT_EQ(body_of<fuse_init_out>(answer_metadata(request_of(FUSE_INIT, 0, old), kSize)).flags2,
            0u);
  EXPECT_EQ(error_of(answer_metadata(request_of(FUSE_INIT, 0, {}), kSize)), EPROTO);
}

TEST_F(MetadataTest, TheTreeIsOneFile) {
  auto out = body_of<fuse_entry_out>(answer_metadata(lookup("disk"), kSize));
  EXPECT_EQ(out.nodeid, kDiskNode);
  EXPECT_EQ(out.attr.size, kSize);
  EXPECT_TRUE(S_ISREG(out.attr.mode));
  EXPECT_EQ(error_of(answer_metadata(lookup("other"), kSize)), ENOENT);
  EXPECT_EQ(error_of(answer_metadata(lookup("disk", kDiskNode), kSize)), ENOENT);
  EXPECT_EQ(error_of(answer_metadata(request_of(FUSE_LOOKUP, kRootNode, {}), kSize)), EINVAL);
  EXPECT_EQ(error_of(answer_metadata(lookup("x", 99), kSize)), ENOENT);
}

TEST_F(MetadataTest, AttributesFollowTheVolume) {
  fuse_getattr_in in{};
  EXPECT_EQ(body_of<fuse_attr_out>(answer_metadata(request(FUSE_GETATTR, kDiskNode, in), kSize))
                .attr.size,
            kSize);
  auto grown = answer_metadata(request(FUSE_GETATTR, kDiskNode, in), 2 * kSize);
  EXPECT_EQ(body_of<fuse_attr_out>(grown).attr.size, 2 * kSize);
  EXPECT_EQ(error_of(answer_metadata(request(FUSE_GETATTR, 99, in), kSize)), ENOENT);
}

TEST_F(MetadataTest, NobodyChangesTheSize) {
  fuse_setattr_in in{};
  in.valid = FATTR_SIZE;
  in.size = 0;
  EXPECT_EQ(error_of(answer_metadata(request(FUSE_SETATTR, kDiskNode, in), kSize)), EPERM);
  in.size = kSize;
  EXPECT_EQ(error_of(answer_metadata(request(FUSE_SETATTR, kDiskNode, in), kSize)), 0);
  EXPECT_EQ(error_of(answer_metadata(request_of(FUSE_SETATTR, kDiskNode, {}), kSize)), EINVAL);
}

TEST_F(MetadataTest, TheDiskIsOpenedWithoutPageCache) {
  fuse_open_in in{};
  auto out = body_of<fuse_open_out>(answer_metadata(request(FUSE_OPEN, kDiskNode, in), kSize));
  EXPECT_EQ(out.open_flags, static_cast<uint32_t>(FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES));
  EXPECT_EQ(error_of(answer_metadata(request(FUSE_OPEN, kRootNode, in), kSize)), EISDIR);
}

TEST_F(MetadataTest, UnknownRequestsAreTurnedOff) {
  for (uint32_t opcode : {36u, 25u, 22u, 40u, 46u, 50u, 52u, 4711u}) {
    EXPECT_EQ(error_of(answer_metadata(request_of(static_cast<fuse_opcode>(opcode), kDiskNode, {}),
                                       kSize)),
              ENOSYS)
        << opcode;
  }
}

TEST_F(MetadataTest, ForgetGetsNoAnswer) {
  EXPECT_TRUE(is_silent(request_of(FUSE_FORGET, kDiskNode, {})));
  EXPECT_TRUE(is_silent(request_of(FUSE_BATCH_FORGET, kDiskNode, {})));
  EXPECT_FALSE(is_silent(request_of(FUSE_DESTROY, kDiskNode, {})));
}

TEST_F(MetadataTest, RequestsThatLieAboutTheirLengthAreCorrupt) {
  request_of(FUSE_STATFS, kRootNode, {});
  for (size_t bytes = 0; bytes < bytes_.size(); ++bytes) {
    EXPECT_FALSE(parse_request(ConstBuffer(bytes_).first(bytes)));
  }
  bytes_.push_back(std::byte{0});
  EXPECT_FALSE(parse_request(bytes_));
}

TEST_F(MetadataTest, WritesHaveTheDataTheySay) {
  struct {
    fuse_write_in in{};
    char data[16]{};
  } write;
  write.in.offset = 4096;
  write.in.size = 16;
  Result<WriteRequest> parsed = parse_write(request(FUSE_WRITE, kDiskNode, write));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->data.size(), 16u);
  for (uint32_t size : {0u, 15u, 17u, 0xffffffffu}) {
    write.in.size = size;
    EXPECT_FALSE(parse_write(request(FUSE_WRITE, kDiskNode, write))) << size;
  }
}

TEST_F(MetadataTest, OnlyHolesAndZeroesAreAllocated) {
  fuse_fallocate_in in{};
  in.length = 8192;
  in.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  EXPECT_TRUE(parse_fallocate(request(FUSE_FALLOCATE, kDiskNode, in))->is_discard);
  in.mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  EXPECT_FALSE(parse_fallocate(request(FUSE_FALLOCATE, kDiskNode, in))->is_discard);
  for (uint32_t mode : {0u, 1u, 8u, 32u}) {
    in.mode = mode;
    EXPECT_FALSE(parse_fallocate(request(FUSE_FALLOCATE, kDiskNode, in))) << mode;
  }
}

}  // namespace
}  // namespace cleat::fuse
