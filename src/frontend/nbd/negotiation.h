// The server's half of the handshake, pure: bytes in, bytes out, until an export is chosen or the
// client leaves. Fixed newstyle; GO, INFO, LIST, EXPORT_NAME, ABORT; other options are refused
// politely.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/buffer.h"
#include "common/result.h"
#include "frontend/nbd/protocol.h"

namespace cleat::nbd {

class Export;
class ExportDirectory;

class Negotiation {
 public:
  explicit Negotiation(ExportDirectory& directory) : directory_(directory) {}

  // The first bytes of a connection, sent before the client says anything.
  static std::vector<std::byte> greeting();

  struct Step {
    size_t consumed = 0;     // of `in`; 0 and not ended: more bytes are needed first
    bool has_ended = false;  // chosen() is set, or the client left (null)
  };
  // Takes at most one message from `in` and appends what is to be sent to `out` (also when it has
  // ended). kCorrupt, kLimit, kNotFound: close the connection.
  // `in` must be able to hold kOptionHeaderBytes + kOptionBytesMax bytes.
  Result<Step> consume(ConstBuffer in, std::vector<std::byte>& out);

  Export* chosen() const { return chosen_; }

 private:
  Result<Step> take_client_flags(ConstBuffer in);
  Result<Step> take_option(ConstBuffer in, std::vector<std::byte>& out);
  Result<Step> answer(uint32_t option, ConstBuffer data, std::vector<std::byte>& out);
  Result<Step> take_export_name(ConstBuffer name, std::vector<std::byte>& out);
  bool take_info_or_go(uint32_t option, ConstBuffer data, std::vector<std::byte>& out);
  void list(ConstBuffer data, std::vector<std::byte>& out);
  void describe(uint32_t option, Export& volume, bool wants_name, std::vector<std::byte>& out);
  static void reply(std::vector<std::byte>& out, uint32_t option, OptionReply type,
                    std::string_view text = "");

  ExportDirectory& directory_;
  bool has_client_flags_ = false;
  bool wants_zeroes_ = true;
  uint32_t option_count_ = 0;
  Export* chosen_ = nullptr;
};

}  // namespace cleat::nbd
