#include "port/ethdev_port.h"

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace weir::port {
namespace {

/// The longest IP packet that a device is given to cut.
constexpr uint32_t kLargeSendBytes = 65'535;

std::string text_of(int error) { return rte_strerror(error < 0 ? -error : error); }

}  // namespace

/// A started device; stopped and removed when its last queue lets go.
class EthdevPort::Device {
 public:
  ~Device() {
    if (is_started) rte_eth_dev_stop(id);
    if (is_probed) {
      rte_eth_dev_close(id);
      rte_eal_hotplug_remove(bus, name.c_str());
    }
  }

  /// What went wrong, or nothing.
  std::string start(const EthdevConfig& config, std::span<rte_mempool* const> pools) {
    name = config.name;
    bus = config.is_card ? "pci" : "vdev";
    // A card that was allowed at the start has been found by then.
    if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
      if (const int result = rte_eal_hotplug_add(bus, name.c_str(), config.arguments.c_str());
          result != 0)
        return "its driver does not take it: " + text_of(result) +
               (config.is_card ? " (bind it first: dpdk-devbind.py -b vfio-pci " + name + ")" : "");
      if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0)
        return "no driver knows this device";
    }
    is_probed = true;

    rte_eth_dev_info info{};
    if (const int result = rte_eth_dev_info_get(id, &info); result != 0)
      return "its driver says nothing about it: " + text_of(result);
    queues = static_cast<uint16_t>(
        std::min<size_t>(pools.size(), std::min(info.max_rx_queues, info.max_tx_queues)));
    if (queues == 0) return "it has no queue to receive and send by";
    rte_eth_conf settings{};
    if (queues > 1 && info.flow_type_rss_offloads != 0) {
      // Whatever its hash says, workers hand over what is another one's: they ask their own.
      settings.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
      settings.rx_adv_conf.rss_conf.rss_hf =
          info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
    }
    settings.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (config.offload) {
      constexpr uint64_t kSums = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
                                 RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
      if ((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0) {
        completes_checksums = true;
        settings.txmode.offloads |= info.tx_offload_capa & kSums;
        if ((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0) {
          large_send_bytes = kLargeSendBytes;
          settings.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
        }
      }
      settings.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM;
    }
    if (const int result = rte_eth_dev_configure(id, queues, queues, &settings); result != 0)
      return "it cannot be configured: " + text_of(result);
    uint16_t received = config.descriptors, sent = config.descriptors;
    rte_eth_dev_adjust_nb_rx_tx_desc(id, &received, &sent);
    for (uint16_t queue = 0; queue < queues; queue++) {
      int result =
          rte_eth_rx_queue_setup(id, queue, received, SOCKET_ID_ANY, nullptr, pools[queue]);
      if (result == 0) result = rte_eth_tx_queue_setup(id, queue, sent, SOCKET_ID_ANY, nullptr);
      if (result != 0)
        return "its queue " + std::to_string(queue) + " cannot be set up: " + text_of(result);
    }
    // A driver that has one fixed MTU says so here.
    if (rte_eth_dev_set_mtu(id, config.mtu_bytes) != 0) {
      uint16_t fixed_bytes = 0;
      rte_eth_dev_get_mtu(id, &fixed_bytes);
      mtu_bytes = std::min(config.mtu_bytes, fixed_bytes);
    } else {
      mtu_bytes = config.mtu_bytes;
    }
    if (const int result = rte_eth_dev_start(id); result != 0)
      return "it cannot be started: " + text_of(result);
    is_started = true;
    // Groups of IPv6 neighbors ask for us; what is not ours the stack drops.
    if (config.is_card) rte_eth_allmulticast_enable(id);
    return {};
  }

  std::string name;
  const char* bus = "";
  uint16_t id = 0;
  uint16_t queues = 0;
  uint16_t mtu_bytes = 0;
  uint32_t large_send_bytes = 0;
  bool completes_checksums = false;
  bool is_probed = false;
  bool is_started = false;
};

std::vector<std::unique_ptr<EthdevPort>> EthdevPort::open(const EthdevConfig& config,
                                                          std::span<rte_mempool* const> pools,
                                                          std::string& error) {
  auto device = std::make_shared<Device>();
  if (const std::string problem = device->start(config, pools); !problem.empty()) {
    error = "cannot open the device " + config.name + ": " + problem;
    return {};
  }
  std::vector<std::unique_ptr<EthdevPort>> ports;
  for (uint16_t queue = 0; queue < device->queues; queue++)
    ports.emplace_back(new EthdevPort(device, queue));
  return ports;
}

EthdevPort::EthdevPort(std::shared_ptr<Device> device, uint16_t queue)
    : device_(std::move(device)), id_(device_->id), queue_(queue) {}

EthdevPort::~EthdevPort() = default;

uint32_t EthdevPort::receive(rte_mbuf** frames, uint32_t capacity) {
  return rte_eth_rx_burst(id_, queue_, frames, static_cast<uint16_t>(capacity));
}

uint32_t EthdevPort::transmit(rte_mbuf** frames, uint32_t count) {
  // Cards differ in what they want to find in a checksum's place.
  if (device_->completes_checksums && count != 0)
    count = rte_eth_tx_prepare(id_, queue_, frames, static_cast<uint16_t>(count));
  return rte_eth_tx_burst(id_, queue_, frames, static_cast<uint16_t>(count));
}

std::array<uint8_t, 6> EthdevPort::link_address() const {
  rte_ether_addr address{};
  rte_eth_macaddr_get(id_, &address);
  std::array<uint8_t, 6> bytes;
  std::copy_n(address.addr_bytes, bytes.size(), bytes.begin());
  return bytes;
}

uint16_t EthdevPort::mtu_bytes() const { return device_->mtu_bytes; }

bool EthdevPort::is_up() const {
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

/// memif to and from shared rings, af_packet to and from the socket's.
bool EthdevPort::copies() const { return device_->bus == std::string_view("vdev"); }
bool EthdevPort::completes_checksums() const { return device_->completes_checksums; }
uint32_t EthdevPort::large_send_bytes() const { return device_->large_send_bytes; }

}  // namespace weir::port
