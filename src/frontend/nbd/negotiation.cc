#include "frontend/nbd/negotiation.h"

#include "frontend/nbd/bytes.h"
#include "frontend/nbd/export.h"

namespace cleat::nbd {
namespace {

constexpr size_t kZeroesBytes = 124;  // after EXPORT_NAME, unless the client declines them

std::string_view as_text(ConstBuffer bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void append_reply_header(std::vector<std::byte>& out, uint32_t option, OptionReply type,
                         size_t bytes) {
  append(out, kOptionReplyMagic);
  append(out, option);
  append(out, static_cast<uint32_t>(type));
  append(out, static_cast<uint32_t>(bytes));
}

// The data of INFO and GO: u32 length of the name, the name, u16 count, count × u16 wanted infos.
struct InfoRequest {
  std::string_view name;
  bool wants_name = false;
};

Result<InfoRequest> parse_info_request(ConstBuffer data) {
  if (data.size() < 6) return fail(Code::kCorrupt, "shorter than its fixed part");
  uint64_t name_bytes = load_u32(data.data());
  if (name_bytes > data.size() - 6) return fail(Code::kCorrupt, "the name ends beyond the option");
  InfoRequest request;
  request.name = as_text(data.subspan(4, name_bytes));
  const std::byte* wanted = data.data() + 4 + name_bytes;
  size_t count = load_u16(wanted);
  if (6 + name_bytes + 2 * count != data.size())
    return fail(Code::kCorrupt, "wrong number of infos");
  for (size_t i = 0; i < count; ++i) {
    if (load_u16(wanted + 2 + 2 * i) == static_cast<uint16_t>(Info::kName))
      request.wants_name = true;
  }
  return request;
}

}  // namespace

std::vector<std::byte> Negotiation::greeting() {
  std::vector<std::byte> out;
  append(out, kGreetingMagic);
  append(out, kOptionMagic);
  append(out, static_cast<uint16_t>(kFixedNewstyle | kNoZeroes));
  return out;
}

Result<Negotiation::Step> Negotiation::consume(ConstBuffer in, std::vector<std::byte>& out) {
  return has_client_flags_ ? take_option(in, out) : take_client_flags(in);
}

Result<Negotiation::Step> Negotiation::take_client_flags(ConstBuffer in) {
  if (in.size() < kClientFlagsBytes) return Step{};
  uint32_t flags = load_u32(in.data());
  if ((flags & ~(kFixedNewstyle | kNoZeroes)) != 0) {
    return fail(Code::kUnsupported, "the client asks for handshake flags that were not offered");
  }
  has_client_flags_ = true;
  wants_zeroes_ = (flags & kNoZeroes) == 0;
  return Step{.consumed = kClientFlagsBytes};
}

Result<Negotiation::Step> Negotiation::take_option(ConstBuffer in, std::vector<std::byte>& out) {
  if (in.size() < kOptionHeaderBytes) return Step{};
  if (load_u64(in.data()) != kOptionMagic) {
    return fail(Code::kCorrupt, "the client sent something that is no NBD option");
  }
  uint32_t option = load_u32(in.data() + 8);
  uint32_t bytes = load_u32(in.data() + 12);
  if (bytes > kOptionBytesMax)
    return fail(Code::kLimit, "the client sent an option of over 16 KiB");
  if (in.size() < kOptionHeaderBytes + bytes) return Step{};
  if (++option_count_ > kOptionsMax) return fail(Code::kLimit, "the client never ends its options");
  TRY_ASSIGN(Step step, answer(option, in.subspan(kOptionHeaderBytes, bytes), out));
  step.consumed = kOptionHeaderBytes + bytes;
  return step;
}

Result<Negotiation::Step> Negotiation::answer(uint32_t option, ConstBuffer data,
                                              std::vector<std::byte>& out) {
  switch (static_cast<Option>(option)) {
    case Option::kExportName: return take_export_name(data, out);
    case Option::kAbort: reply(out, option, OptionReply::kAck); return Step{.has_ended = true};
    case Option::kList: list(data, out); return Step{};
    case Option::kInfo:
    case Option::kGo: return Step{.has_ended = take_info_or_go(option, data, out)};
    case Option::kStartTls: break;
  }
  reply(out, option, OptionReply::kUnsupported, "this server does not know that option");
  return Step{};
}

// The old way, without an answer for failure: the protocol says to close the connection then.
Result<Negotiation::Step> Negotiation::take_export_name(ConstBuffer name,
                                                        std::vector<std::byte>& out) {
  Export* volume = directory_.find(as_text(name));
  if (volume == nullptr)
    return fail(Code::kNotFound, "the client wants an export that is not there");
  append(out, volume->device().size_bytes());
  append(out, volume->transmission_flags());
  if (wants_zeroes_) out.resize(out.size() + kZeroesBytes);
  chosen_ = volume;
  return Step{.has_ended = true};
}

bool Negotiation::take_info_or_go(uint32_t option, ConstBuffer data, std::vector<std::byte>& out) {
  Result<InfoRequest> request = parse_info_request(data);
  if (!request) {
    reply(out, option, OptionReply::kInvalid, request.error().what);
    return false;
  }
  Export* volume = directory_.find(request->name);
  if (volume == nullptr) {
    reply(out, option, OptionReply::kUnknown, "no volume of that name is attached here by NBD");
    return false;
  }
  describe(option, *volume, request->wants_name, out);
  if (option != static_cast<uint32_t>(Option::kGo)) return false;
  chosen_ = volume;
  return true;
}

void Negotiation::describe(uint32_t option, Export& volume, bool wants_name,
                           std::vector<std::byte>& out) {
  append_reply_header(out, option, OptionReply::kInfo, 12);
  append(out, static_cast<uint16_t>(Info::kExport));
  append(out, volume.device().size_bytes());
  append(out, volume.transmission_flags());

  append_reply_header(out, option, OptionReply::kInfo, 14);
  append(out, static_cast<uint16_t>(Info::kBlockSize));
  append(out, volume.minimum_block_bytes());
  append(out, kPreferredBlockBytes);
  append(out, kPayloadBytesMax);

  if (wants_name) {
    append_reply_header(out, option, OptionReply::kInfo, 2 + volume.name().size());
    append(out, static_cast<uint16_t>(Info::kName));
    append(out, std::string_view(volume.name()));
  }
  reply(out, option, OptionReply::kAck);
}

void Negotiation::list(ConstBuffer data, std::vector<std::byte>& out) {
  auto option = static_cast<uint32_t>(Option::kList);
  if (!data.empty()) {
    reply(out, option, OptionReply::kInvalid, "LIST takes no data");
    return;
  }
  for (const std::string& name : directory_.names()) {
    append_reply_header(out, option, OptionReply::kServer, 4 + name.size());
    append(out, static_cast<uint32_t>(name.size()));
    append(out, std::string_view(name));
  }
  reply(out, option, OptionReply::kAck);
}

void Negotiation::reply(std::vector<std::byte>& out, uint32_t option, OptionReply type,
                        std::string_view text) {
  append_reply_header(out, option, type, text.size());
  append(out, text);
}

}  // namespace cleat::nbd
