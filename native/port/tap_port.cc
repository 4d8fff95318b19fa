#include "port/tap_port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <rte_mbuf.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "port/interface_setup.h"

namespace weir::port {

namespace {

constexpr uint32_t kEthernetHeaderBytes = 14;
/// A VLAN tag, which the kernel may insert.
constexpr uint32_t kVlanTagBytes = 4;
// Flags of VirtioNetHeader.
constexpr uint8_t kNeedsChecksum = 1;
/// The virtio_net header's kinds of segmentation (virtio 1.2 section 5.1.6).
constexpr uint8_t kSegmentTcpV4 = 1;
constexpr uint8_t kSegmentTcpV6 = 4;
/// Of the pieces only the first one carries CWR.
constexpr uint8_t kSegmentEcn = 0x80;
constexpr uint8_t kChecksumValid = 2;
constexpr uint16_t kTcpChecksumOffset = 16;
constexpr uint16_t kUdpChecksumOffset = 6;
/// CWR in the TCP header (RFC 3168 section 6.1), and where its byte is.
constexpr uint8_t kCongestionWindowReduced = 0x80;
constexpr uint32_t kTcpFlagsOffset = 13;

std::string open_failure(int error) {
  std::string text = std::string("cannot open /dev/net/tun: ") + std::strerror(error);
  if (error == ENOENT || error == ENODEV)
    text +=
        " (load the module with `modprobe tun`; in a container, pass the device, like `--device "
        "/dev/net/tun`)";
  if (error == EACCES || error == EPERM)
    text += " (run as root, or let this user read and write /dev/net/tun)";
  return text;
}

std::string attach_failure(const std::string& name, int error) {
  std::string text =
      "cannot create or attach to TAP interface " + name + ": " + std::strerror(error);
  if (error == EPERM) text += " (run as root or with CAP_NET_ADMIN in this network namespace)";
  if (error == E2BIG) text += " (all of its queues are in use: end the process that has them)";
  if (error == EBUSY) text += " (another process uses it: end that one or choose another name)";
  if (error == EINVAL)
    text +=
        " (an interface of that name exists and is no TAP, or none for several queues: choose "
        "another "
        "name, or one worker)";
  return text;
}

/// A random unicast address of the locally administered kind.
std::array<uint8_t, 6> random_link_address() {
  std::array<uint8_t, 6> address{};
  while (getrandom(address.data(), address.size(), 0) != static_cast<ssize_t>(address.size())) {
  }
  address[0] = static_cast<uint8_t>((address[0] & 0xfc) | 0x02);
  return address;
}

}  // namespace

std::unique_ptr<TapPort> TapPort::open(const TapConfig& config, rte_mempool* pool,
                                       Counters& counters, std::string& error) {
  if (config.name.empty() || config.name.size() >= IFNAMSIZ) {
    error = "TAP interface name \"" + config.name + "\" must have 1 to 15 characters";
    return nullptr;
  }
  const int descriptor = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) {
    error = open_failure(errno);
    return nullptr;
  }
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto fail = [&](std::string text) {
    error = std::move(text);
    close(descriptor);
    if (control >= 0) close(control);
    return nullptr;
  };
  if (control < 0)
    return fail(std::string("cannot open a socket to control interfaces: ") + std::strerror(errno));

  ifreq request{};
  std::memcpy(request.ifr_name, config.name.c_str(), config.name.size() + 1);
  constexpr int kFlags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  request.ifr_flags = kFlags | (config.is_one_of_many ? IFF_MULTI_QUEUE : 0);
  int attached = ioctl(descriptor, TUNSETIFF, &request);
  if (attached != 0 && errno == EINVAL && !config.is_one_of_many) {
    // The interface may have been made for several queues; one is enough.
    request.ifr_flags = kFlags | IFF_MULTI_QUEUE;
    attached = ioctl(descriptor, TUNSETIFF, &request);
  }
  if (attached != 0) return fail(attach_failure(config.name, errno));
  const std::string name = request.ifr_name;

  const int header_bytes = sizeof(VirtioNetHeader);
  if (ioctl(descriptor, TUNSETVNETHDRSZ, &header_bytes) != 0)
    return fail("cannot set the virtio_net header size of " + name + ": " + std::strerror(errno) +
                " (Linux 3.2 or newer is needed)");
  const unsigned offloads =
      config.offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN : 0;
  if (ioctl(descriptor, TUNSETOFFLOAD, offloads) != 0)
    return fail("cannot set the offloads of " + name + ": " + std::strerror(errno));

  if (ioctl(descriptor, SIOCGIFHWADDR, &request) != 0)
    return fail("cannot read the link address of " + name + ": " + std::strerror(errno));
  const auto is_kernels = [&](const std::array<uint8_t, 6>& address) {
    return std::memcmp(request.ifr_hwaddr.sa_data, address.data(), address.size()) == 0;
  };
  std::array<uint8_t, 6> link_address;
  if (config.link_address.has_value()) {
    link_address = *config.link_address;
    if ((link_address[0] & 1) != 0)
      return fail("the link address given for " + name +
                  " is a group address; clear the lowest bit of its first byte");
    if (is_kernels(link_address))
      return fail("the link address given for " + name +
                  " is that of the kernel's side of the interface; choose another one");
  } else {
    do {
      link_address = random_link_address();
    } while (is_kernels(link_address));
  }
  return std::unique_ptr<TapPort>(
      new TapPort(descriptor, control, name, link_address, config, pool, counters));
}

TapPort::TapPort(int descriptor, int control, std::string name,
                 const std::array<uint8_t, 6>& link_address, const TapConfig& config,
                 rte_mempool* pool, Counters& counters)
    : descriptor_(descriptor),
      control_(control),
      name_(std::move(name)),
      link_address_(link_address),
      mtu_bytes_(config.mtu_bytes),
      offload_(config.offload),
      pool_(pool),
      counters_(counters) {
  // One byte more than the longest frame: a read that fills everything was cut off, because the
  // kernel does not tell.
  const uint32_t longest = config.offload ? kLargestPacketBytes : config.mtu_bytes;
  const uint32_t needed = longest + kEthernetHeaderBytes + kVlanTagBytes + 1;
  const uint32_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
  const uint32_t segments = (needed + room - 1) / room;
  capacity_bytes_ = segments * room;
  empty_.assign(segments, nullptr);
  missing_ = segments;
  receive_vector_.resize(1 + segments);
  receive_vector_[0] = {&receive_header_, sizeof receive_header_};
}

TapPort::~TapPort() {
  for (rte_mbuf* buffer : empty_) rte_pktmbuf_free(buffer);
  close(descriptor_);
  close(control_);
}

uint32_t TapPort::receive(rte_mbuf** frames, uint32_t capacity) {
  uint32_t count = 0;
  while (count < capacity) {
    // Without a buffer the frame stays in the kernel's queue.
    if (missing_ != 0 && !refill()) [[unlikely]]
      break;
    const ssize_t bytes =
        readv(descriptor_, receive_vector_.data(), static_cast<int>(receive_vector_.size()));
    if (bytes < 0) {
      if (errno == EINTR) continue;
      break;  // EAGAIN: nothing there; anything else comes again at the next call
    }
    const auto total = static_cast<uint32_t>(bytes);
    if (total < sizeof receive_header_ + kEthernetHeaderBytes) [[unlikely]] {
      counters_.add(Counter::drop_link_short);
      continue;
    }
    const uint32_t frame_bytes = total - sizeof receive_header_;
    if (frame_bytes >= capacity_bytes_) [[unlikely]] {
      counters_.add(Counter::drop_rx_truncated);
      continue;
    }
    frames[count++] = take_received(frame_bytes);
  }
  return count;
}

/// Completes the empty buffers. False if the pool has none.
bool TapPort::refill() {
  for (; missing_ != 0; missing_--) {
    const uint32_t at = missing_ - 1;
    rte_mbuf* buffer = rte_pktmbuf_alloc(pool_);
    if (buffer == nullptr) {
      counters_.add(Counter::drop_no_mbuf);
      return false;
    }
    empty_[at] = buffer;
    receive_vector_[1 + at] = {rte_pktmbuf_mtod(buffer, void*), rte_pktmbuf_tailroom(buffer)};
  }
  return true;
}

/// Makes a packet of the buffers that a frame was read into.
rte_mbuf* TapPort::take_received(uint32_t frame_bytes) {
  rte_mbuf* head = empty_[0];
  head->pkt_len = frame_bytes;
  rte_mbuf* last = nullptr;
  uint32_t used = 0;
  for (uint32_t left = frame_bytes; left > 0; used++) {
    rte_mbuf* segment = empty_[used];
    const uint32_t here = std::min<uint32_t>(left, receive_vector_[1 + used].iov_len);
    segment->data_len = static_cast<uint16_t>(here);
    if (last != nullptr) last->next = segment;
    last = segment;
    left -= here;
  }
  head->nb_segs = static_cast<uint16_t>(used);
  for (uint32_t i = 0; i < used; i++) empty_[i] = nullptr;
  missing_ = used;

  const uint8_t flags = receive_header_.flags;
  if ((flags & kNeedsChecksum) != 0) {
    // It comes from this machine and nobody has summed it up.
    head->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
  } else if ((flags & kChecksumValid) != 0) {
    head->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }
  return head;
}

bool TapPort::is_up() const { return is_interface_up(control_, name_); }

uint32_t TapPort::transmit(rte_mbuf** frames, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const Written written = write_frame(frames[i]);
    if (written == Written::full) return i;
    if (written == Written::dropped) counters_.add(Counter::drop_tx_error);
    rte_pktmbuf_free(frames[i]);
  }
  return count;
}

TapPort::Written TapPort::write_frame(rte_mbuf* frame) {
  if (frame->nb_segs > kMaxTransmitSegments) return Written::dropped;
  VirtioNetHeader header{};
  if (const uint64_t l4 = frame->ol_flags & RTE_MBUF_F_TX_L4_MASK; l4 != 0) {
    header.flags = kNeedsChecksum;
    header.checksum_start = frame->l2_len + frame->l3_len;
    header.checksum_offset =
        l4 == RTE_MBUF_F_TX_UDP_CKSUM ? kUdpChecksumOffset : kTcpChecksumOffset;
  }
  if ((frame->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) {
    header.segmentation_type =
        (frame->ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? kSegmentTcpV6 : kSegmentTcpV4;
    header.header_bytes = static_cast<uint16_t>(frame->l2_len + frame->l3_len + frame->l4_len);
    header.segment_bytes = frame->tso_segsz;
    const uint8_t flags = *rte_pktmbuf_mtod_offset(frame, const uint8_t*,
                                                   frame->l2_len + frame->l3_len + kTcpFlagsOffset);
    if ((flags & kCongestionWindowReduced) != 0) header.segmentation_type |= kSegmentEcn;
  }
  iovec vector[1 + kMaxTransmitSegments];
  vector[0] = {&header, sizeof header};
  int entries = 1;
  for (const rte_mbuf* segment = frame; segment != nullptr; segment = segment->next)
    vector[entries++] = {rte_pktmbuf_mtod(segment, void*), segment->data_len};
  for (;;) {
    if (writev(descriptor_, vector, entries) >= 0) return Written::sent;
    if (errno == EINTR) continue;
    // The device has no room now, or refuses this frame for good: it is down (EIO), or the frame is
    // no frame (EINVAL).
    return errno == EAGAIN || errno == ENOBUFS ? Written::full : Written::dropped;
  }
}

}  // namespace weir::port
