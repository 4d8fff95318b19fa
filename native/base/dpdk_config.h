// Read before everything else, behind DPDK's own configuration.
//
// Packet buffers are only ever used by the worker that they belong to, so that their reference
// counts need no atomic operations. DPDK's libraries are compiled with them, which does no harm.
#undef RTE_MBUF_REFCNT_ATOMIC
