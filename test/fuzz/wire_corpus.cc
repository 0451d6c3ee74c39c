// Writes the corpus of wire_fuzz: one valid input of each kind. `wire_corpus DIRECTORY`.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "wire/handshake.h"
#include "wire/testing/peers.h"

namespace cleat::wire {
namespace {

using Bytes = std::vector<std::byte>;

void append(Bytes& to, ConstBuffer bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

Bytes frame(Header header, ConstBuffer payload = {}) {
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  header.payload_crc = payload_crc({&payload, 1});
  Bytes bytes;
  append(bytes, encode(header));
  append(bytes, payload);
  return bytes;
}

Header reply(Type type, uint64_t counter, uint64_t slot) {
  Header header = testing::request(type);
  header.flags = kReply;
  header.request_id = counter << 12 | slot;
  return header;
}

Bytes requests() {
  Bytes block(kBlockSize);
  testing::fill_pattern({3, 1}, block);
  Bytes all;
  uint64_t id = 0;
  for (uint8_t type = 1; type <= kTypeLast; ++type) {
    Header header = testing::request(static_cast<Type>(type), {3, 1});
    header.request_id = ++id;
    bool is_write = header.type == Type::kWrite || header.type == Type::kShareWrite;
    append(all, frame(header, is_write ? ConstBuffer(block) : ConstBuffer{}));
  }
  return all;
}

Bytes replies() {
  Bytes data(2 * kBlockSize);
  Bytes all = frame(reply(Type::kFlush, 1, 0));
  append(all, frame(reply(Type::kRead, 2, 1), ConstBuffer(data).first(kBlockSize)));
  append(all, frame(reply(Type::kRead, 3, 2), data));
  return all;
}

Bytes refusals() {
  Bytes all;
  for (uint64_t slot = 0; slot < 3; ++slot) {
    Header header = reply(slot == 0 ? Type::kFlush : Type::kRead, slot + 1, slot);
    header.error = Code::kStaleEpoch;
    append(all, frame(header));
  }
  return all;
}

Bytes hello() {
  Hello hello;
  hello.node = NodeId(1);
  hello.wanted = NodeId(2);
  hello.version_min = hello.version_max = 1;
  hello.cluster = "berlin";
  hello.name = "n1";
  return encode_hello(hello);
}

bool put(const std::filesystem::path& directory, const std::string& name, char kind,
         const Bytes& bytes) {
  std::ofstream file(directory / name, std::ios::binary);
  file.put(kind);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return file.good();
}

bool write_all(const std::filesystem::path& directory) {
  Bytes greeting = hello();
  greeting.resize(greeting.size() + kProofBytes);
  Bytes numbers(64, std::byte{4});
  return put(directory, "header", 0, frame(reply(Type::kFence, 1, 0))) &&
         put(directory, "hello", 1, hello()) && put(directory, "payload", 2, numbers) &&
         put(directory, "handshake", 3, greeting) && put(directory, "requests", 4, requests()) &&
         put(directory, "replies", 5, replies()) && put(directory, "refusals", 5, refusals()) &&
         put(directory, "requests-fixed", 6, requests()) &&
         put(directory, "replies-fixed", 7, replies()) &&
         put(directory, "refusals-fixed", 7, refusals());
}

}  // namespace
}  // namespace cleat::wire

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  std::filesystem::create_directories(argv[1]);
  if (cleat::wire::write_all(argv[1])) return 0;
  std::fprintf(stderr, "%s: can't write to %s\n", argv[0], argv[1]);
  return 1;
}
