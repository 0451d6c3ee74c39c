#include "frontend/nbd/export.h"

#include <algorithm>

#include "frontend/nbd/connection.h"
#include "frontend/nbd/protocol.h"

namespace cleat::nbd {

Export::Export(io::Executor& executor, frontend::AlignedDevice& device, std::string name,
               ExportOptions options)
    : device_(device), name_(std::move(name)), options_(options), emptied_(executor) {}

Export::~Export() { CHECK(connections_.empty(), "an export is closed before it dies"); }

uint16_t Export::transmission_flags() const {
  // Multi-connection holds: a flush covers what completed on any connection, and nothing is cached
  // here.
  unsigned flags = static_cast<unsigned>(TransmissionFlag::kHasFlags) |
                   static_cast<unsigned>(TransmissionFlag::kSendFlush) |
                   static_cast<unsigned>(TransmissionFlag::kSendFua) |
                   static_cast<unsigned>(TransmissionFlag::kSendTrim) |
                   static_cast<unsigned>(TransmissionFlag::kSendWriteZeroes) |
                   static_cast<unsigned>(TransmissionFlag::kCanMultiConn);
  if (options_.is_read_only) flags |= static_cast<unsigned>(TransmissionFlag::kReadOnly);
  return static_cast<uint16_t>(flags);
}

io::Task<void> Export::close() {
  is_closing_ = true;
  for (Connection* connection : connections_) connection->shutdown();
  while (!connections_.empty()) co_await emptied_.wait();
}

bool Export::enter(Connection* connection) {
  if (is_closing_) return false;
  connections_.push_back(connection);
  return true;
}

void Export::leave(Connection* connection) {
  std::erase(connections_, connection);
  if (connections_.empty()) emptied_.notify_all();
}

bool ExportList::add(Export& volume) {
  if (find(volume.name()) != nullptr) return false;
  exports_.push_back(&volume);
  return true;
}

void ExportList::remove(Export& volume) { std::erase(exports_, &volume); }

Export* ExportList::find(std::string_view name) {
  auto found = std::find_if(exports_.begin(), exports_.end(),
                            [name](const Export* item) { return item->name() == name; });
  return found == exports_.end() ? nullptr : *found;
}

std::vector<std::string> ExportList::names() const {
  std::vector<std::string> names;
  for (const Export* item : exports_) names.push_back(item->name());
  return names;
}

}  // namespace cleat::nbd
