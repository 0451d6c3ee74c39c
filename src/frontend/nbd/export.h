// A volume as NBD clients see it, and where a server finds it by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/aligned_device.h"
#include "io/sync.h"

namespace cleat::nbd {

class Connection;

struct ExportOptions {
  bool is_read_only = false;
  // What clients are told to align to: a power of two up to 4096. Volumes are 4Kn devices, in
  // whatever way they are attached; with less, good clients (libnbd, qemu) send smaller requests,
  // which work too.
  uint32_t minimum_block_bytes = 4096;
};

// Threading: the loop that owns the volume and runs the server. Ownership: borrows the device;
// close() before either dies.
class Export {
 public:
  Export(io::Executor& executor, frontend::AlignedDevice& device, std::string name,
         ExportOptions options = {});
  Export(const Export&) = delete;
  ~Export();

  const std::string& name() const { return name_; }
  frontend::AlignedDevice& device() { return device_; }
  bool is_read_only() const { return options_.is_read_only; }
  uint32_t minimum_block_bytes() const { return options_.minimum_block_bytes; }
  // TransmissionFlag bits.
  uint16_t transmission_flags() const;

  // Ends every client's connection and waits until no request of theirs is under way; new ones are
  // refused from now on.
  io::Task<void> close();
  size_t connection_count() const { return connections_.size(); }

 private:
  friend class Connection;
  bool enter(Connection* connection);  // false once it closes
  void leave(Connection* connection);

  frontend::AlignedDevice& device_;
  std::string name_;
  ExportOptions options_;
  bool is_closing_ = false;
  std::vector<Connection*> connections_;
  io::WaitQueue emptied_;
};

// Port: the exports of a node. Threading: the server's loop.
class ExportDirectory {
 public:
  virtual ~ExportDirectory() = default;
  // Null when there is none of that name. The export lives until its close() was awaited.
  virtual Export* find(std::string_view name) = 0;
  virtual std::vector<std::string> names() const = 0;
};

// The directory as a list in memory.
class ExportList final : public ExportDirectory {
 public:
  // False when the name is taken.
  bool add(Export& volume);
  void remove(Export& volume);
  Export* find(std::string_view name) override;
  std::vector<std::string> names() const override;

 private:
  std::vector<Export*> exports_;
};

}  // namespace cleat::nbd
