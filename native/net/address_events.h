#pragma once
#include <cstdint>

#include "net/address.h"

namespace weir::net {

/// What becomes of an address of ours.
enum class AddressChange : uint8_t {
  /// It is used from now on.
  assigned,
  /// Another station has it: it is not used, and asked for again after a minute.
  duplicate,
  /// Another station uses it too; we go on. Told at most once in ten seconds.
  contested,
  /// It must not be used any more: the lease has ended.
  gone,
};

/// Told of changes, for the operator's log. Configured addresses that are used at once are none.
class AddressEvents {
 public:
  virtual void on_address_change(const Address& address, AddressChange change) = 0;

 protected:
  ~AddressEvents() = default;
};

}  // namespace weir::net
