#pragma once
#include <cstdint>
#include <cstring>

#include "base/multiply_fold.h"
#include "net/address.h"

namespace weir::net {

/// Hash of a flow's addresses and ports under a secret key, so that a peer cannot choose
/// colliding ones.
inline uint64_t flow_hash(const uint64_t key[2], const Endpoint& local, const Endpoint& remote) {
  uint64_t local_words[2], remote_words[2];
  std::memcpy(local_words, local.address.bytes.data(), 16);
  std::memcpy(remote_words, remote.address.bytes.data(), 16);
  uint64_t ports = uint64_t{local.port} << 16 | remote.port;
  uint64_t h = multiply_fold(remote_words[1] ^ key[0], local_words[1] ^ ports << 16 ^ key[1]);
  if (!remote.address.is_v4()) h = multiply_fold(h ^ remote_words[0], local_words[0] ^ key[0]);
  return multiply_fold(h ^ key[1], key[0] | 1);
}

}  // namespace weir::net
