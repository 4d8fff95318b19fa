#pragma once
#include <cstdint>
#include <string>

#include "base/counters.h"
#include "net/stack.h"
#include "sim/packet.h"

namespace weir::sim::script {

/// Where a script plays: a stack at one end of a wire, and time. The script is at the other end.
class Station {
 public:
  /// Told what happens there.
  class Listener {
   public:
    /// The stack has sent a frame.
    virtual void on_frame(const Frame& frame) = 0;
    /// Something that must never be.
    virtual void fail(std::string what) = 0;

   protected:
    ~Listener() = default;
  };

  virtual ~Station() = default;
  virtual net::Stack& stack() = 0;
  virtual const Counters& counters() const = 0;
  /// Since the script began.
  virtual uint64_t now_ns() const = 0;
  /// A frame comes along the wire, and the stack takes it.
  virtual void arrive(Frame frame) = 0;
  /// The same; the stack takes it when time passes.
  virtual void arrive_later(Frame frame) = 0;
  /// The handler is about to call the stack: it knows the time.
  virtual void before_call() = 0;
  /// The handler has called the stack: it does what is due.
  virtual void after_call() = 0;
  /// Lets time pass until something has happened, but not beyond `until_ns`. False when nothing
  /// happens until then.
  virtual bool pass(uint64_t until_ns) = 0;
};

}  // namespace weir::sim::script
