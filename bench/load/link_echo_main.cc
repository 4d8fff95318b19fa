/// The other end of a link with nothing behind it: gives every datagram back to where it came from,
/// unread, and says that it has any address that is asked for. What a server over the same port is
/// compared with.
#include <rte_mbuf.h>
#include <sched.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/counters.h"
#include "base/eal.h"
#include "base/packet_pool.h"
#include "frames.h"
#include "port/open_port.h"

namespace {

using namespace weir;

constexpr uint32_t kBatch = 64;
std::atomic<bool> stopping{false};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "link_echo: %s\n", message.c_str());
  std::exit(1);
}

/// Makes an answer of a question, in place. False if it is none.
bool answer_arp(rte_mbuf* frame, const net::link::LinkAddress& own) {
  if (frame->data_len < sizeof(load::ArpFrame)) return false;
  auto* arp = rte_pktmbuf_mtod(frame, load::ArpFrame*);
  if (arp->operation_be != rte_cpu_to_be_16(1)) return false;
  const uint32_t asked_be = arp->target_be;
  arp->operation_be = rte_cpu_to_be_16(2);
  arp->target_be = arp->sender_be;
  arp->target_link = arp->sender_link;
  arp->sender_be = asked_be;
  arp->sender_link = own;
  arp->ethernet = {arp->target_link, own, arp->ethernet.type_be};
  return true;
}

/// Turns a frame round, in place: exchanging addresses and ports changes no sum. False: it is not
/// of those that are answered.
bool turn_round(rte_mbuf* frame, const net::link::LinkAddress& own) {
  if (frame->data_len < sizeof(load::PacketHeaders)) return false;
  auto* headers = rte_pktmbuf_mtod(frame, load::PacketHeaders*);
  if (headers->ethernet.type_be == rte_cpu_to_be_16(net::link::kTypeArp))
    return answer_arp(frame, own);
  if (headers->ethernet.type_be != rte_cpu_to_be_16(net::link::kTypeIpv4) ||
      frame->data_len < sizeof(load::DatagramHeaders))
    return false;
  auto* datagram = rte_pktmbuf_mtod(frame, load::DatagramHeaders*);
  headers->ethernet = {headers->ethernet.source, own, headers->ethernet.type_be};
  const uint32_t source_be = headers->ip.source_be;
  headers->ip.source_be = headers->ip.destination_be;
  headers->ip.destination_be = source_be;
  const uint16_t port_be = datagram->source_port_be;
  datagram->source_port_be = datagram->destination_port_be;
  datagram->destination_port_be = port_be;
  return true;
}

void echo(port::Port& port) {
  rte_mbuf* frames[kBatch];
  const net::link::LinkAddress own = port.link_address();
  while (!stopping.load(std::memory_order_relaxed)) {
    const uint32_t received = port.receive(frames, kBatch);
    uint32_t count = 0;
    for (uint32_t i = 0; i < received; i++) {
      if (turn_round(frames[i], own))
        frames[count++] = frames[i];
      else
        rte_pktmbuf_free(frames[i]);
    }
    for (uint32_t i = port.transmit(frames, count); i < count; i++) rte_pktmbuf_free(frames[i]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 || std::string(argv[1]) != "--port" || std::string(argv[3]) != "--core")
    fail("write --port memif:SOCKET --core N");
  const std::string text = argv[2];
  const size_t colon = text.find(':');
  const auto driver = port::driver_of(text.substr(0, colon));
  if (!driver || colon == std::string::npos) fail("no such port: " + text);
  port::PortConfig config;
  config.driver = *driver;
  config.device = text.substr(colon + 1);
  std::signal(SIGTERM, [](int) { stopping.store(true, std::memory_order_relaxed); });

  if (std::string error = start_eal({}); !error.empty()) fail(error);
  EalThread registered;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(std::atoi(argv[4]), &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
  std::string error;
  auto pool = PacketPool::create({.name = "link", .count = 16383}, error);
  if (!pool) fail(error);
  static uint64_t values[kCounterCount];
  Counters counters(values);
  const port::QueueResources queue{pool->get(), &counters};
  auto ports = port::open_port(config, {&queue, 1}, error);
  if (ports.empty()) fail(error);
  std::printf("ready\n");
  std::fflush(stdout);
  echo(*ports[0]);
  ports.clear();
  std::_Exit(0);
}
