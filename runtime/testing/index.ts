/**
 * @weir/host/testing: tests of handlers in the real stack and the real sandbox, on a virtual clock, without a device and
 * without root. It works in any test runner; `weir test` brings one.
 */
export {
  Connection,
  Listener,
  type Patience,
  type ReadOptions,
  type ReceivedDatagram,
  UdpSocket,
} from "./connection.js";
export {
  type AppOptions,
  type ConnectOptions,
  type HandlerFailure,
  type HostOptions,
  host,
  type LogLine,
  TestHost,
} from "./host.js";
export type { RequestOptions } from "./http.js";
export type { Link, LinkDirection, LinkOptions } from "./link.js";
export { TestHostError } from "./process.js";
export type { HostStats, PeerEndpoint } from "./protocol.js";
