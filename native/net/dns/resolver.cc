#include "net/dns/resolver.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "base/siphash.h"
#include "net/flow_steering.h"

namespace weir::net::dns {

namespace {

constexpr uint16_t kServerPort = 53;
// RFC 6056 section 3.2.
constexpr uint32_t kFirstPort = 1024;
constexpr uint32_t kPorts = 65536 - kFirstPort;
/// Of some hundred workers, each has a port among so many.
constexpr int kPortTries = 4096;

}  // namespace

Resolver::Resolver(const Clock& clock, const Environment& environment, udp::Udp& udp,
                   const ip::Output& output, const ServerList& servers)
    : clock_(clock),
      environment_(environment),
      udp_(udp),
      output_(output),
      servers_(servers),
      hash_key_{environment.random.next(), environment.random.next()},
      lookups_(kMaxLookups),
      known_(kCacheEntries) {}

Resolver::Known& Resolver::slot_of(const Name& name) {
  return known_[siphash(hash_key_, name.text.data(), name.length) % kCacheEntries];
}

bool Resolver::resolve(std::string_view name, ResolveListener& listener, uint32_t tag) {
  Name wanted;
  if (!make_name(name, wanted)) return false;
  if (const Known& known = slot_of(wanted);
      known.expires_us > clock_.now_us && known.name == wanted) {
    const std::array<Answer, 2> answers = known.answers;
    tell(listener, tag, answers);
    return true;
  }
  const auto free = std::find_if(lookups_.begin(), lookups_.end(),
                                 [](const Lookup& each) { return each.listener == nullptr; });
  if (free == lookups_.end()) return false;
  *free = {};
  free->name = wanted;
  free->listener = &listener;
  free->tag = tag;
  // Whoever asks is not told in the middle of asking: the timer says when nobody can be asked.
  if (!try_again(*free)) free->deadline_us = clock_.now_us;
  find_deadline();
  return true;
}

void Resolver::cancel(const ResolveListener& listener, uint32_t tag) {
  for (Lookup& lookup : lookups_) {
    if (lookup.listener != &listener || lookup.tag != tag) continue;
    if (lookup.port != 0) udp_.unbind(lookup.port);
    lookup.listener = nullptr;
  }
  find_deadline();
}

/// Asks the next server what is not answered yet. False when there is none, or no try is left.
bool Resolver::try_again(Lookup& lookup) {
  if (lookup.port != 0) udp_.unbind(lookup.port);
  lookup.port = 0;
  std::array<Address, ServerList::kMaxServers> servers;
  const uint32_t count = servers_.servers(servers);
  if (lookup.tries == kTries || count == 0) return false;
  lookup.server = {servers[lookup.tries % count], kServerPort};
  lookup.tries++;
  const auto index = static_cast<uint32_t>(&lookup - lookups_.data());
  for (int i = 0; i < kPortTries && lookup.port == 0; i++) {
    const auto port = static_cast<uint16_t>(kFirstPort + environment_.random.next() % kPorts);
    const Endpoint local{output_.source_for(lookup.server.address), port};
    if (environment_.steering != nullptr && !environment_.steering->is_home(local, lookup.server))
      continue;
    if (udp_.bind(port, *this, index)) lookup.port = port;
  }
  if (lookup.port == 0) return false;
  for (size_t i = 0; i < 2; i++) {
    if (lookup.is_answered[i]) continue;
    lookup.ids[i] = static_cast<uint16_t>(environment_.random.next());
    // Two questions from one port need two numbers.
    if (i == 1 && lookup.ids[1] == lookup.ids[0]) lookup.ids[1]++;
    std::array<uint8_t, kMaxQueryBytes> message;
    const uint32_t bytes = write_query(lookup.ids[i], lookup.name, kTypes[i], message);
    environment_.counters.add(Counter::dns_queries);
    udp_.send(lookup.port, lookup.server, {message.data(), bytes});
  }
  lookup.deadline_us = clock_.now_us + kTryUs;
  return true;
}

bool Resolver::on_datagram(uint32_t listener_tag, const Endpoint& remote, const Endpoint&,
                           const Payload& payload) {
  Lookup& lookup = lookups_[listener_tag];
  uint8_t copy[kMaxMessageBytes];
  const auto drop = [&] {
    environment_.counters.add(Counter::drop_dns_malformed);
    return true;
  };
  if (!(remote == lookup.server) || payload.length_bytes > sizeof copy) return drop();
  const auto* bytes = static_cast<const uint8_t*>(
      rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, copy));
  if (bytes == nullptr) return drop();
  const std::span<const uint8_t> message{bytes, payload.length_bytes};
  const uint16_t id = id_of(message);
  const size_t i = id == lookup.ids[0] && !lookup.is_answered[0] ? 0 : 1;
  Answer answer;
  if (lookup.is_answered[i] ||
      !parse_answer(message, lookup.ids[i], lookup.name, kTypes[i], answer))
    return drop();
  lookup.answers[i] = answer;
  lookup.is_answered[i] = answer.outcome != Answer::Outcome::failed;
  if (lookup.is_answered[0] && lookup.is_answered[1]) {
    finish(lookup);
  } else if (answer.outcome == Answer::Outcome::failed) {
    // The next server is asked without waiting for the others.
    lookup.deadline_us = clock_.now_us;
  }
  find_deadline();
  return true;
}

void Resolver::run_timers() {
  if (clock_.now_us < deadline_us_) return;
  for (Lookup& lookup : lookups_)
    if (lookup.listener != nullptr && lookup.deadline_us <= clock_.now_us && !try_again(lookup))
      finish(lookup);
  find_deadline();
}

/// Remembers what servers said and tells who asked. What only one type was answered for counts, but
/// is not remembered.
void Resolver::finish(Lookup& lookup) {
  if (lookup.port != 0) udp_.unbind(lookup.port);
  if (lookup.is_answered[0] && lookup.is_answered[1]) {
    uint32_t lifetime_s = kLongestLifetimeS;
    for (const Answer& answer : lookup.answers)
      lifetime_s = std::min(lifetime_s, answer.lifetime_s);
    slot_of(lookup.name) = {lookup.name, clock_.now_us + lifetime_s * 1'000'000ull, lookup.answers};
  }
  ResolveListener& listener = *lookup.listener;
  const uint32_t tag = lookup.tag;
  const std::array<Answer, 2> answers = lookup.answers;
  lookup.listener = nullptr;
  tell(listener, tag, answers);
}

void Resolver::tell(ResolveListener& listener, uint32_t tag, const std::array<Answer, 2>& answers) {
  std::array<Address, 2 * kMaxAddresses> reachable;
  uint32_t count = 0;
  // IPv6 first where both are to be had (RFC 6724 section 2.1).
  for (const Answer* answer : {&answers[1], &answers[0]})
    for (uint32_t i = 0; i < answer->count; i++)
      if (!output_.source_for(answer->addresses[i]).is_unspecified())
        reachable[count++] = answer->addresses[i];
  environment_.counters.add(count > 0 ? Counter::dns_answers : Counter::dns_failures);
  listener.on_resolved(tag, {reachable.data(), count});
}

void Resolver::find_deadline() {
  deadline_us_ = UINT64_MAX;
  for (const Lookup& lookup : lookups_)
    if (lookup.listener != nullptr) deadline_us_ = std::min(deadline_us_, lookup.deadline_us);
}

}  // namespace weir::net::dns
