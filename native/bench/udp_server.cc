#include <array>
#include <cerrno>

#include "kernel_servers.h"
#include "kernel_socket.h"

namespace weir::bench {

void serve_udp(uint16_t port) {
  constexpr uint32_t kBatch = 64;
  constexpr uint32_t kMostBytes = 2'048;
  const int descriptor = bound_socket(SOCK_DGRAM, port);
  static std::array<std::array<char, kMostBytes>, kBatch> buffers;
  std::array<sockaddr_in, kBatch> senders;
  std::array<iovec, kBatch> vectors;
  std::array<mmsghdr, kBatch> messages;
  for (;;) {
    for (uint32_t i = 0; i < kBatch; i++) {
      vectors[i] = {buffers[i].data(), kMostBytes};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &senders[i];
      messages[i].msg_hdr.msg_namelen = sizeof senders[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    // Waits for the first datagram, and takes those that are there with it.
    const int count = recvmmsg(descriptor, messages.data(), kBatch, MSG_WAITFORONE, nullptr);
    if (count < 0 && errno != EINTR) fail("recvmmsg");
    for (int i = 0; i < count; i++) vectors[i].iov_len = messages[i].msg_len;
    for (int sent = 0; sent < count;) {
      const int taken =
          sendmmsg(descriptor, messages.data() + sent, static_cast<uint32_t>(count - sent), 0);
      // The one that was refused is lost, as datagrams may be.
      sent += taken <= 0 ? 1 : taken;
    }
  }
}

}  // namespace weir::bench
