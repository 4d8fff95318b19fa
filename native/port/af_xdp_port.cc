// Pools whose buffers lie in given memory (rte_pktmbuf_pool_create_extbuf).
#define ALLOW_EXPERIMENTAL_API
#include "port/af_xdp_port.h"

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "port/interface_setup.h"

namespace weir::port {
namespace {

/// The memory's chunks: those of received frames, then those of frames to send.
constexpr uint32_t kChunkBytes = 2048;
constexpr uint32_t kReceiveChunks = 8192;
constexpr uint32_t kTransmitChunks = 2048;
constexpr uint64_t kMemoryBytes = uint64_t{kReceiveChunks + kTransmitChunks} * kChunkBytes;
constexpr uint32_t kRingSlots = 2048;
/// Frames that the kernel sends in one call, where it copies them.
constexpr uint32_t kKernelBatch = 32;
/// Buffers that the stack may hold while the kernel has enough to receive into.
static_assert(kReceiveChunks >= 2 * kRingSlots);
/// What the kernel leaves before a frame (XDP_PACKET_HEADROOM); the longest frame has to fit
/// behind.
constexpr uint32_t kKernelHeadroomBytes = 256;
constexpr uint16_t kLargestMtuBytes = kChunkBytes - kKernelHeadroomBytes - 18;

/// Frames of a queue whose socket is in the map go there, all others on to the kernel.
constexpr bpf_insn instruction(uint8_t code, uint8_t destination, uint8_t source, int16_t offset,
                               int32_t immediate) {
  return {code, destination, source, offset, immediate};
}
constexpr uint32_t kMostQueues = 64;

int load_program(int map) {
  const bpf_insn program[] = {
      // r2 = context->rx_queue_index
      instruction(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 16, 0),
      // r1 = map
      instruction(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
      instruction(0, 0, 0, 0, 0),
      // r3 = XDP_PASS, for queues without a socket
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 2),
      instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  return bpf_prog_load(BPF_PROG_TYPE_XDP, "weir", "Dual BSD/GPL", program, std::size(program),
                       nullptr);
}

std::string text_of(int error) { return strerror(error < 0 ? -error : error); }

}  // namespace

/// An interface's program, and the map from its queues to their sockets.
struct AfXdpPort::Program {
  ~Program() {
    for (const int descriptor : {link, program, map})
      if (descriptor >= 0) ::close(descriptor);
  }
  std::string load();
  std::string attach(const std::string& interface);

  int map = -1;
  int program = -1;
  int link = -1;
};

/// What belongs to the kernel, and is given back in this order.
struct AfXdpPort::Kernel {
  ~Kernel() {
    program.reset();
    if (socket != nullptr) xsk_socket__delete(socket);
    if (memory != nullptr) xsk_umem__delete(memory);
    if (control >= 0) ::close(control);
  }

  xsk_ring_prod fill{};
  xsk_ring_cons completed{};
  xsk_ring_cons received{};
  xsk_ring_prod sending{};
  xsk_umem* memory = nullptr;
  xsk_socket* socket = nullptr;
  std::shared_ptr<Program> program;
  /// Of the interface's network namespace.
  int control = -1;
};

AfXdpPort::AfXdpPort(const AfXdpConfig& config)
    : kernel_(std::make_unique<Kernel>()),
      interface_(config.interface),
      mtu_bytes_(std::min(config.mtu_bytes, kLargestMtuBytes)) {}

AfXdpPort::~AfXdpPort() {
  kernel_.reset();
  if (pool_ != nullptr) rte_mempool_free(pool_);
  if (memory_ != nullptr) munmap(memory_, kMemoryBytes);
}

std::vector<std::unique_ptr<AfXdpPort>> AfXdpPort::open(const AfXdpConfig& config, uint32_t queues,
                                                        std::string& error) {
  std::vector<std::unique_ptr<AfXdpPort>> ports;
  const auto fail = [&](const std::string& problem) {
    error = "cannot open the interface " + config.interface + " by AF_XDP: " + problem;
    ports.clear();
    return std::move(ports);
  };
  if (if_nametoindex(config.interface.c_str()) == 0)
    return fail(text_of(errno) + " (ip link shows those that exist here)");
  auto program = std::make_shared<Program>();
  for (uint32_t queue = 0; queue < std::min(queues, kMostQueues); queue++) {
    std::unique_ptr<AfXdpPort> port(new AfXdpPort(config));
    std::string problem = port->make_memory();
    if (problem.empty()) problem = port->find_link_address(config);
    if (!problem.empty()) return fail(problem);
    const int result = port->bind(queue, problem);
    // The interface has no such queue.
    if (result == -EINVAL && queue > 0) break;
    if (!problem.empty()) return fail(problem);
    if (queue == 0) problem = program->load();
    if (!problem.empty()) return fail(problem);
    if (const int entered = xsk_socket__update_xskmap(port->kernel_->socket, program->map);
        entered != 0)
      return fail("its queue " + std::to_string(queue) + " cannot be entered: " + text_of(entered));
    port->kernel_->program = program;
    ports.push_back(std::move(port));
  }
  // Last: from now on frames come.
  if (const std::string problem = program->attach(config.interface); !problem.empty())
    return fail(problem);
  return ports;
}

/// Chunks that both sides see, with a packet buffer for each of the first ones. The headers of the
/// buffers are elsewhere: the kernel does not reach them.
std::string AfXdpPort::make_memory() {
  void* memory = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED)
    return "no memory for its frames: " + text_of(errno) + " (it needs 20 MiB)";
  memory_ = static_cast<uint8_t*>(memory);
  static std::atomic<uint32_t> next{0};
  const std::string name = "af_xdp_" + std::to_string(next++);
  const rte_pktmbuf_extmem area{memory_, reinterpret_cast<rte_iova_t>(memory_),
                                size_t{kReceiveChunks} * kChunkBytes, kChunkBytes};
  pool_ = rte_pktmbuf_pool_create_extbuf(name.c_str(), kReceiveChunks, 256, 0, kChunkBytes,
                                         SOCKET_ID_ANY, &area, 1);
  if (pool_ == nullptr) return "no buffers for its frames: " + text_of(rte_errno);
  buffer_of_chunk_.resize(kReceiveChunks);
  rte_mempool_obj_iter(
      pool_,
      [](rte_mempool*, void* opaque, void* object, unsigned) {
        auto* self = static_cast<AfXdpPort*>(opaque);
        auto* buffer = static_cast<rte_mbuf*>(object);
        const auto* at = static_cast<const uint8_t*>(buffer->buf_addr);
        self->buffer_of_chunk_[static_cast<size_t>(at - self->memory_) / kChunkBytes] = buffer;
      },
      this);
  for (uint32_t i = 0; i < kTransmitChunks; i++)
    free_.push_back(uint64_t{kReceiveChunks + i} * kChunkBytes);
  return {};
}

/// What went wrong, or nothing.
std::string AfXdpPort::find_link_address(const AfXdpConfig& config) {
  Kernel& k = *kernel_;
  k.control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, config.interface.c_str(), sizeof request.ifr_name - 1);
  if (k.control < 0 || ioctl(k.control, SIOCGIFHWADDR, &request) != 0)
    return "its link address cannot be read: " + text_of(errno);
  std::memcpy(link_address_.data(), request.ifr_hwaddr.sa_data, link_address_.size());
  if (config.link_address) link_address_ = *config.link_address;
  return {};
}

/// Makes the socket of a queue. 0, or the negative number of what went wrong, with a text.
int AfXdpPort::bind(uint32_t queue, std::string& error) {
  Kernel& k = *kernel_;
  xsk_umem_config memory{};
  memory.fill_size = memory.comp_size = kRingSlots;
  memory.frame_size = kChunkBytes;
  int result = xsk_umem__create(&k.memory, memory_, kMemoryBytes, &k.fill, &k.completed, &memory);
  if (result != 0) {
    error = "its memory cannot be registered: " + text_of(result) +
            " (be root, or raise RLIMIT_MEMLOCK)";
    return result;
  }
  xsk_socket_config settings{};
  settings.rx_size = settings.tx_size = kRingSlots;
  settings.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  settings.bind_flags = XDP_USE_NEED_WAKEUP;
  result = xsk_socket__create(&k.socket, interface_.c_str(), queue, k.memory, &k.received,
                              &k.sending, &settings);
  if (result != 0) {
    error = "its queue " + std::to_string(queue) + " cannot be had: " + text_of(result) +
            (result == -EBUSY ? " (another process has it)" : "");
    return result;
  }
  refill();
  return 0;
}

/// What went wrong, or nothing.
std::string AfXdpPort::Program::load() {
  map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "weir", sizeof(uint32_t), sizeof(uint32_t), kMostQueues,
                       nullptr);
  if (map < 0) return "no map for its program: " + text_of(errno) + " (be root)";
  program = load_program(map);
  return program < 0 ? "its program is refused: " + text_of(errno) : std::string();
}

/// What went wrong, or nothing.
std::string AfXdpPort::Program::attach(const std::string& interface) {
  const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
  // The driver's own way first, then the general one, which any interface has.
  for (const uint32_t flags : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    bpf_link_create_opts options{};
    options.sz = sizeof options;
    options.flags = flags;
    link = bpf_link_create(program, index, BPF_XDP, &options);
    if (link >= 0) return {};
  }
  return "its program cannot be attached: " + text_of(errno) +
         (errno == EBUSY || errno == EEXIST
              ? " (it has another one: ip link set dev " + interface + " xdp off)"
              : "");
}

/// Gives the kernel buffers to receive into.
void AfXdpPort::refill() {
  xsk_ring_prod& fill = kernel_->fill;
  uint32_t count = xsk_prod_nb_free(&fill, kRingSlots);
  rte_mbuf* buffers[64];
  while (count != 0) {
    const uint32_t now = std::min<uint32_t>(count, std::size(buffers));
    uint32_t at = 0;
    if (rte_pktmbuf_alloc_bulk(pool_, buffers, now) != 0) return;
    xsk_ring_prod__reserve(&fill, now, &at);
    for (uint32_t i = 0; i < now; i++)
      *xsk_ring_prod__fill_addr(&fill, at + i) =
          static_cast<uint64_t>(static_cast<uint8_t*>(buffers[i]->buf_addr) - memory_);
    xsk_ring_prod__submit(&fill, now);
    count -= now;
  }
}

uint32_t AfXdpPort::receive(rte_mbuf** frames, uint32_t capacity) {
  Kernel& k = *kernel_;
  uint32_t at = 0;
  const uint32_t count = xsk_ring_cons__peek(&k.received, capacity, &at);
  if (count == 0) {
    // Where the stack held all buffers, some may have come back.
    if (xsk_prod_nb_free(&k.fill, kRingSlots / 4) >= kRingSlots / 4) [[unlikely]]
      refill();
    if (xsk_ring_prod__needs_wakeup(&k.fill)) [[unlikely]]
      recvfrom(xsk_socket__fd(k.socket), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    if (xsk_prod_nb_free(&k.sending, kRingSlots) < kRingSlots) [[unlikely]]
      kick(kKernelBatch);
    return 0;
  }
  for (uint32_t i = 0; i < count; i++) {
    const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&k.received, at + i);
    rte_mbuf* frame = buffer_of_chunk_[descriptor->addr / kChunkBytes];
    frame->data_off = static_cast<uint16_t>(descriptor->addr % kChunkBytes);
    frame->data_len = static_cast<uint16_t>(descriptor->len);
    frame->pkt_len = descriptor->len;
    frames[i] = frame;
  }
  xsk_ring_cons__release(&k.received, count);
  if (xsk_prod_nb_free(&k.fill, kRingSlots / 4) >= kRingSlots / 4) refill();
  return count;
}

/// Takes back the chunks of frames that have gone out.
void AfXdpPort::reclaim() {
  xsk_ring_cons& completed = kernel_->completed;
  uint32_t at = 0;
  const uint32_t count = xsk_ring_cons__peek(&completed, kRingSlots, &at);
  for (uint32_t i = 0; i < count; i++)
    free_.push_back(*xsk_ring_cons__comp_addr(&completed, at + i) / kChunkBytes * kChunkBytes);
  xsk_ring_cons__release(&completed, count);
}

uint32_t AfXdpPort::transmit(rte_mbuf** frames, uint32_t count) {
  Kernel& k = *kernel_;
  reclaim();
  const uint32_t room =
      std::min({count, static_cast<uint32_t>(free_.size()), xsk_prod_nb_free(&k.sending, count)});
  uint32_t at = 0;
  if (room == 0 || xsk_ring_prod__reserve(&k.sending, room, &at) != room) return 0;
  for (uint32_t i = 0; i < room; i++) {
    rte_mbuf* frame = frames[i];
    xdp_desc* descriptor = xsk_ring_prod__tx_desc(&k.sending, at + i);
    const uint64_t chunk = free_.back();
    free_.pop_back();
    // Longer than a chunk is nothing that the stack makes at this MTU.
    const uint32_t bytes = std::min(frame->pkt_len, kChunkBytes);
    const void* whole = rte_pktmbuf_read(frame, 0, bytes, memory_ + chunk);
    if (whole != memory_ + chunk) std::memcpy(memory_ + chunk, whole, bytes);
    *descriptor = {chunk, bytes, 0};
    rte_pktmbuf_free(frame);
  }
  xsk_ring_prod__submit(&k.sending, room);
  kick(room);
  return room;
}

/// Has the kernel send what it was given. What it does not take now it is told of again.
void AfXdpPort::kick(uint32_t count) {
  if (!xsk_ring_prod__needs_wakeup(&kernel_->sending)) return;
  for (uint32_t told = 0; told < count; told += kKernelBatch)
    sendto(xsk_socket__fd(kernel_->socket), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
}

int AfXdpPort::wait_descriptor() const { return xsk_socket__fd(kernel_->socket); }

bool AfXdpPort::is_up() const { return is_interface_up(kernel_->control, interface_); }

bool AfXdpPort::is_zero_copy() const {
  xdp_options options{};
  socklen_t bytes = sizeof options;
  return getsockopt(wait_descriptor(), SOL_XDP, XDP_OPTIONS, &options, &bytes) == 0 &&
         (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

}  // namespace weir::port
