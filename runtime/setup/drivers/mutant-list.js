/** The stack broken on purpose: in native/`file`, `from` (which stands there once) becomes `to`. */
export const MUTANTS = [
  {
    name: "PAWS forgotten",
    file: "net/tcp/segment_in.cc",
    from: "} else if (seq_lt(segment.options.timestamp, block.ts_recent) &&",
    to: "} else if (false && seq_lt(segment.options.timestamp, block.ts_recent) &&",
  },
  {
    name: "SACK beyond SND.NXT believed",
    file: "net/tcp/loss_recovery.cc",
    from: "seq_le(sack.start, segment.acknowledgement) || seq_gt(sack.end, block.snd_nxt)) {",
    to: "seq_le(sack.start, segment.acknowledgement)) {",
  },
  {
    name: "ACK for out-of-order data",
    file: "net/tcp/segment_in.cc",
    from: "counters.add(Counter::tcp_out_of_order);",
    to: "counters.add(Counter::tcp_out_of_order); block.rcv_nxt = sequence + bytes;",
  },
  {
    name: "a buffer leaked on RST",
    file: "net/tcp/segment_in.cc",
    from: "bool opening = block.state == tcp::State::syn_received;",
    to: "segment.frame = nullptr; bool opening = block.state == tcp::State::syn_received;",
  },
  {
    name: "no exponential backoff",
    file: "net/tcp/rto.h",
    from: "if (backoff_ < 16) backoff_++;",
    to: "",
  },
  {
    name: "a timer lost at sequence wrap",
    file: "net/tcp/loss_recovery.cc",
    from: "  if (block.board.empty()) {\n    if (block.loss_timer != LossTimer::persist)",
    to: "  if (block.board.empty() || block.snd_nxt < block.snd_una) {\n    if (block.loss_timer != LossTimer::persist)",
  },
  {
    name: "what was received early leaked at the end",
    file: "net/tcp/tcp.cc",
    from: "block.reorder.clear(early);",
    to: "",
  },
  {
    name: "the window taken back",
    file: "net/tcp/segment_out.cc",
    from: "if (seq_lt(edge, block.rcv_edge + step)) edge = block.rcv_edge;",
    to: "",
  },
  {
    name: "an acknowledgement of what was never sent believed",
    file: "net/tcp/segment_in.cc",
    from: "if (seq_gt(ack, block.snd_nxt) || seq_lt(ack, block.snd_una - block.max_snd_wnd)) {",
    to: "if (seq_lt(ack, block.snd_una - block.max_snd_wnd)) {",
  },
];
