import { bind, tx } from "@weir/guest/udp";

const A: u16 = 1, IN: u16 = 1;

bind("main", q => {
  if (q.length < 17 || q.u16be(4) != 1) return;
  let end: u32 = 12;
  while (end < q.length && q[end] != 0) end += q[end] + 1;
  if (end + 5 > q.length) return;
  const yes = q.u16be(end + 1) == A && q.u16be(end + 3) == IN;
  const out = tx(512).bytes(q, 0, 2).u16be(0x8400).u16be(1).u16be(yes ? 1 : 0).u32be(0).bytes(q, 12, end + 5);
  if (yes) out.u16be(0xc00c).u16be(A).u16be(IN).u32be(60).u16be(4).u32be(0x0a000001);
  q.reply(out);
});
