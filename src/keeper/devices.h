// The devices that the keeper holds: for each volume a FUSE connection and the loop device on its
// file.
//
// Threading: one thread; nothing here waits. Ownership: borrows the job runner. When it dies the
// descriptors close: the kernel then aborts the connections, unless cleatd has them too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "keeper/job_runner.h"
#include "keeper/loop_device.h"
#include "keeper/outcome.h"
#include "keeper/protocol.h"

namespace cleat::keeper {

struct Device {
  uint64_t volume_id = 0;
  std::string name;
  uint64_t size_bytes = 0;
  DeviceState state = DeviceState::kNone;
  std::string mount_point;
  io::FileDescriptor connection;
  LoopDevice loop;
};

class Devices {
 public:
  using Done = std::function<void(const Outcome<int>& loop_index)>;
  struct Volume {
    uint64_t id = 0;
    std::string name;
    uint64_t size_bytes = 0;
  };

  Devices(std::string run_dir, JobRunner& jobs);

  // Makes the directories and takes down what an earlier keeper of this run directory left.
  Outcome<> start();

  // The descriptor to serve, or -1 when the device was held already. `done` comes once the loop
  // device is there, which needs that somebody serves. A device that failed is tried anew. EEXIST:
  // held with another size.
  Outcome<int> create(const Volume& volume, Done done);
  void resize(uint64_t volume_id, uint64_t size_bytes, Done done);
  // EBUSY while it is mounted, open, or being worked on. Forced: its I/O fails from now on, and the
  // loop device goes when its last user does. No error when there is none.
  void destroy(uint64_t volume_id, bool is_forced, Done done);

  // Takes every device down, gently for a while, by force then.
  void destroy_all();
  void force_all();

  std::vector<const Device*> held() const;

 private:
  struct Entry : Device {
    bool is_busy = false;  // a job works on it
    std::vector<Done> waiting_for_device;
    std::optional<Done> doomed;  // to be destroyed by force once the job is over
  };

  Outcome<> read_instance();
  void remove_leftovers();
  std::string tag_of(uint64_t volume_id) const;
  void start_attach(Entry& entry);
  void attached(uint64_t volume_id, Outcome<LoopDevice>& result);
  void start_destroy(Entry& entry, bool is_forced, Done done);
  void destroyed(uint64_t volume_id, LoopDevice& loop, const Outcome<>& result, const Done& done);
  void start_doomed(Entry& entry);

  std::string run_dir_;
  std::string fuse_dir_;
  std::string instance_;  // in the tags of loop devices: random, kept in the run directory
  JobRunner& jobs_;
  std::map<uint64_t, Entry> entries_;
};

}  // namespace cleat::keeper
