#include "sandbox/second_net.h"

#include <signal.h>

#include <mutex>

namespace weir::sandbox {
namespace {

// A thread that enters guests has touched it before any fault, so the handler does not allocate to
// reach it.
thread_local GuestMemory* current_memory = nullptr;
struct sigaction previous_segv;
struct sigaction previous_bus;

void on_fault(int signal, siginfo_t* info, void* context) {
  if (current_memory != nullptr && current_memory->absorb_fault(info->si_addr)) return;
  const struct sigaction& previous = signal == SIGBUS ? previous_bus : previous_segv;
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    // Not ours and nobody else's: die of it, with the original fault in the core.
    sigaction(signal, &previous, nullptr);
  }
}

}  // namespace

void install_second_net() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &previous_segv);
    sigaction(SIGBUS, &action, &previous_bus);
  });
}

void set_current_guest_memory(GuestMemory* memory) { current_memory = memory; }

}  // namespace weir::sandbox
