#include "kernel_servers.h"
#include "kernel_socket.h"

#ifdef WEIR_LIBURING
#include <liburing.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <vector>

namespace weir::bench {
namespace {

constexpr uint32_t kQueueEntries = 4'096;
/// What is received lies in one of these until it has been sent. As many as there may be
/// connections, so that none waits for another's.
constexpr uint32_t kBuffers = 4'096;
constexpr uint32_t kBufferBytes = 8'192;
constexpr int kBufferGroup = 0;

enum class Kind : uint8_t { accept, receive, send };

/// What a completion is of, in its 64 bits of user data.
struct Operation {
  int32_t descriptor;
  uint16_t buffer;
  Kind kind;
  uint8_t unused = 0;
};
static_assert(sizeof(Operation) == sizeof(uint64_t));

class UringServer {
 public:
  explicit UringServer(uint16_t port)
      : listener_(listen_at(port, 0)), memory_(kBuffers * kBufferBytes) {
    io_uring_params parameters{};
    // One thread submits and completes, and the kernel need not interrupt it for that.
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    parameters.cq_entries = 4 * kQueueEntries;
    check(io_uring_queue_init_params(kQueueEntries, &ring_, &parameters), "io_uring");
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(make_buffer_ring());
    registration.ring_entries = kBuffers;
    registration.bgid = kBufferGroup;
    check(io_uring_register_buf_ring(&ring_, &registration, 0), "buffers of io_uring");
    for (uint32_t i = 0; i < kBuffers; i++) give_back(static_cast<uint16_t>(i));
  }

  [[noreturn]] void run() {
    accept();
    for (;;) {
      const int error = io_uring_submit_and_wait(&ring_, 1);
      if (error < 0 && error != -EINTR) check(error, "io_uring_submit_and_wait");
      uint32_t head, count = 0;
      io_uring_cqe* completion;
      io_uring_for_each_cqe(&ring_, head, completion) {
        count++;
        take(std::bit_cast<Operation>(uint64_t{completion->user_data}), *completion);
      }
      io_uring_cq_advance(&ring_, count);
    }
  }

 private:
  static void check(int error, const char* what) {
    if (error >= 0) return;
    errno = -error;
    fail(what);
  }

  io_uring_buf_ring* make_buffer_ring() {
    void* memory = nullptr;
    if (posix_memalign(&memory, 4'096, kBuffers * sizeof(io_uring_buf)) != 0) fail("memory");
    buffers_ = static_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_ring_init(buffers_);
    return buffers_;
  }
  char* buffer(uint16_t index) { return memory_.data() + size_t{index} * kBufferBytes; }
  void give_back(uint16_t index) {
    io_uring_buf_ring_add(buffers_, buffer(index), kBufferBytes, index,
                          io_uring_buf_ring_mask(kBuffers), 0);
    io_uring_buf_ring_advance(buffers_, 1);
  }

  template <typename Prepare>
  void submit(const Operation& operation, Prepare prepare) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    while (entry == nullptr) {
      io_uring_submit(&ring_);
      entry = io_uring_get_sqe(&ring_);
    }
    prepare(entry);
    entry->user_data = std::bit_cast<uint64_t>(operation);
  }

  void accept() {
    submit({listener_, 0, Kind::accept}, [&](io_uring_sqe* entry) {
      io_uring_prep_multishot_accept(entry, listener_, nullptr, nullptr, 0);
    });
  }
  void receive(int descriptor) {
    submit({descriptor, 0, Kind::receive}, [&](io_uring_sqe* entry) {
      io_uring_prep_recv_multishot(entry, descriptor, nullptr, 0, 0);
      entry->flags |= IOSQE_BUFFER_SELECT;
      entry->buf_group = kBufferGroup;
    });
  }
  void send(int descriptor, uint16_t index, uint32_t bytes) {
    submit({descriptor, index, Kind::send}, [&](io_uring_sqe* entry) {
      // The kernel goes on until all of it has been taken.
      io_uring_prep_send(entry, descriptor, buffer(index), bytes, MSG_WAITALL | MSG_NOSIGNAL);
    });
  }

  void take(const Operation& operation, const io_uring_cqe& completion) {
    const int result = completion.res;
    const bool has_ended = (completion.flags & IORING_CQE_F_MORE) == 0;
    switch (operation.kind) {
      case Kind::accept:
        if (result >= 0) {
          no_delay(result);
          receive(result);
        }
        if (has_ended) accept();
        return;
      case Kind::receive:
        if (result > 0) {
          const auto index = static_cast<uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
          send(operation.descriptor, index, static_cast<uint32_t>(result));
        } else if (result != -ENOBUFS) {
          close(operation.descriptor);
          return;
        }
        if (has_ended) receive(operation.descriptor);
        return;
      case Kind::send:
        give_back(operation.buffer);
        return;
    }
  }

  int listener_;
  io_uring ring_;
  io_uring_buf_ring* buffers_ = nullptr;
  std::vector<char> memory_;
};

}  // namespace

void serve_uring(uint16_t port) { UringServer(port).run(); }

}  // namespace weir::bench
#else
void weir::bench::serve_uring(uint16_t) {
  std::fprintf(stderr, "kernel_bench was built without liburing: install liburing-dev\n");
  std::exit(1);
}
#endif
