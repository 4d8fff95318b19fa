#pragma once
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

namespace weir::worker {

/// Work that other threads ask a worker to do between two of its cycles. The worker looks at one
/// flag in a cycle; only when it is set does it take the lock.
class TaskQueue {
 public:
  static constexpr size_t kCapacity = 256;

  TaskQueue() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~TaskQueue() { ::close(descriptor_); }
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  /// False when the queue is full. Wakes a sleeping worker.
  bool push(std::function<void()> task) {
    {
      std::lock_guard lock(mutex_);
      if (tasks_.size() == kCapacity) return false;
      tasks_.push_back(std::move(task));
      waiting_.store(true, std::memory_order_release);
    }
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = write(descriptor_, &one, sizeof one);
    return true;
  }
  bool waiting() const { return waiting_.load(std::memory_order_acquire); }
  /// Runs what waits. Called by the worker.
  void run() {
    std::vector<std::function<void()>> taken;
    {
      std::lock_guard lock(mutex_);
      taken.swap(tasks_);
      waiting_.store(false, std::memory_order_release);
      uint64_t count;
      [[maybe_unused]] ssize_t got = read(descriptor_, &count, sizeof count);
    }
    for (auto& task : taken) task();
  }
  /// Readable while tasks wait.
  int descriptor() const { return descriptor_; }

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  std::atomic<bool> waiting_{false};
  int descriptor_;
};

}  // namespace weir::worker
