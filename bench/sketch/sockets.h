// Plain sockets for the sketch, and the NBD handshake (fixed newstyle, doc/proto.md of the NBD
// project), all blocking: it happens before anything is measured.
#pragma once

#include <cstdint>
#include <string>

namespace cleat::sketch {

// Numbers of the NBD transmission phase.
inline constexpr uint32_t kNbdRequestMagic = 0x25609513;
inline constexpr uint32_t kNbdReplyMagic = 0x67446698;
inline constexpr uint16_t kNbdRead = 0;
inline constexpr uint16_t kNbdWrite = 1;
inline constexpr uint16_t kNbdDisconnect = 2;
inline constexpr uint16_t kNbdFlush = 3;
inline constexpr uint32_t kRequestBytesMax = 4u << 20;

// "127.0.0.1:9470" or "unix:/path" (a stale file there is replaced).
int listen_at(const std::string& address);
// Tries for 5 s: the other process may not listen yet.
int connect_to(const std::string& address);
int accept_from(int listener);

void write_fully(int fd, const void* data, size_t size);
// False at the end of the stream.
bool read_fully(int fd, void* data, size_t size);

// Server side of the handshake; false when the client left or asked for something else than
// transmission.
bool nbd_serve_handshake(int fd, uint64_t export_bytes);
// Client side, of any server; gives the size of the export.
uint64_t nbd_client_handshake(int fd, const std::string& export_name);

}  // namespace cleat::sketch
