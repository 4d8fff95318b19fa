#pragma once
#include <cstdint>

#include "net/checksum.h"

namespace weir::load {

/// Which message of which connection.
struct MessageId {
  uint32_t flow;
  uint32_t count;

  uint64_t tag() const { return uint64_t{flow} << 32 | count; }
};

/// What came of some bytes of an answer.
struct Taken {
  /// The answer ends with them.
  bool is_whole = false;
  /// Nobody knows where the answer ends: the connection is of no more use.
  bool is_lost = false;
  /// So many answers are not what they should be.
  uint32_t wrong = 0;
  /// So many requests have been answered with them: the last one when the answer is whole.
  uint32_t answered = 0;
};

/// What clients say to a server, and how they tell that its answers are whole and right. A
/// connection has one message at a time.
class Dialogue {
 public:
  virtual ~Dialogue() = default;
  /// Requests in one message.
  virtual uint32_t requests() const { return 1; }
  /// The next message of a connection, which forgets the one before. Returns its bytes, at least
  /// one.
  virtual uint32_t begin(MessageId message) = 0;
  /// Writes bytes of a message that has begun, from an even offset on, and returns their sum. What
  /// is lost is written again.
  virtual net::ChecksumSum write(MessageId message, uint32_t offset, uint32_t bytes,
                                 uint8_t* to) = 0;
  /// Takes the next bytes of the answer, of which `offset` have been taken.
  virtual Taken take(MessageId message, uint32_t offset, const uint8_t* at, uint32_t bytes) = 0;
  /// False as long as there is something to be said before the load proper.
  virtual bool is_ready() const { return true; }
};

}  // namespace weir::load
