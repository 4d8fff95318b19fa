/**
 * What libwasmtime's C API lacks: an engine configuration with weir's exact feature set, and the admission of untrusted
 * modules (verify, rewrite, prove). Both are in libweir_engine.a, with the whole of wasm.h and wasmtime.h.
 */
#ifndef WEIR_ENGINE_H
#define WEIR_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <wasm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Address space that a linear memory's creator must reserve, bytes: with it and the guard, an access needs no check. */
#define WEIR_MEMORY_RESERVATION_BYTES UINT64_C(4294967296)

/** Address space without access rights behind the reservation, bytes. */
#define WEIR_MEMORY_GUARD_BYTES UINT64_C(33554432)

/** Stack that Wasm frames may use in one call, bytes. A thread or fiber that enters a guest needs more than this. */
#define WEIR_MAX_WASM_STACK_BYTES UINT64_C(262144)

/**
 * An engine configuration: LIME1, bulk memory and SIMD and no other feature; Cranelift at speed; epochs on; memories that
 * do not move, without copy-on-write images. Set the memory creator (wasmtime_config_host_memory_creator_set), then give
 * it to wasm_engine_new_with_config. The process that compiles and the one that runs must use the same configuration.
 */
wasm_config_t *weir_config_new(void);

/** Wasmtime's version and this library's, like "48.0.8+weir.0.1.0". Static. */
const char *weir_engine_version(void);

/* Defaults of weir_admit_limits. */
#define WEIR_DEFAULT_MEMORY_PAGES 1024u
#define WEIR_DEFAULT_MAX_MODULE_BYTES 8388608u
#define WEIR_DEFAULT_MAX_CUSTOM_BYTES 4194304u
#define WEIR_DEFAULT_MAX_TYPES 4096u
#define WEIR_DEFAULT_MAX_PARAMS 64u
#define WEIR_DEFAULT_MAX_RESULTS 16u
#define WEIR_DEFAULT_MAX_IMPORTS 64u
#define WEIR_DEFAULT_MAX_EXPORTS 1024u
#define WEIR_DEFAULT_MAX_FUNCTIONS 20000u
#define WEIR_DEFAULT_MAX_GLOBALS 4096u
#define WEIR_DEFAULT_MAX_TABLE_ELEMENTS 65536u
#define WEIR_DEFAULT_MAX_ELEMENT_SEGMENTS 1024u
#define WEIR_DEFAULT_MAX_DATA_SEGMENTS 16384u
#define WEIR_DEFAULT_MAX_PASSIVE_BYTES 1048576u
#define WEIR_DEFAULT_MAX_INIT_SEGMENTS 256u
#define WEIR_DEFAULT_MAX_BODY_BYTES 131072u
#define WEIR_DEFAULT_MAX_LOCALS 4096u
#define WEIR_DEFAULT_MAX_NESTING 1024u
#define WEIR_DEFAULT_MAX_BLOCKS 16384u
#define WEIR_DEFAULT_MAX_BRANCH_TARGETS 4096u
#define WEIR_DEFAULT_MAX_FUNCTION_WORK 4000000u
#define WEIR_DEFAULT_MAX_MODULE_WORK 40000000u

/** What a host allows one module. A zero in any field stands for its default. */
typedef struct weir_admit_limits {
  /** The whole linear memory, 64 KiB pages, with everything below the module's own base (320 pages). At most 65,536. A
   *  module that declares a smaller maximum gets that. */
  uint32_t memory_pages;
  /** The module, bytes. */
  uint32_t max_module_bytes;
  /** All custom sections together (names, debug information), bytes. */
  uint32_t max_custom_bytes;
  uint32_t max_types;
  /** Parameters of one function or block type. */
  uint32_t max_params;
  /** Results of one function or block type. */
  uint32_t max_results;
  uint32_t max_imports;
  uint32_t max_exports;
  uint32_t max_functions;
  uint32_t max_globals;
  /** The table's size and its maximum, elements. */
  uint32_t max_table_elements;
  uint32_t max_element_segments;
  uint32_t max_data_segments;
  /** All passive data segments together, bytes. */
  uint32_t max_passive_bytes;
  /** Data segments that memory.init names: each of them costs a helper function. */
  uint32_t max_init_segments;
  /** One function's body, bytes. */
  uint32_t max_body_bytes;
  /** One function's parameters and locals. */
  uint32_t max_locals;
  /** How deep blocks may be nested in one function. */
  uint32_t max_nesting;
  /** One function's basic blocks, counted as its structured and branching instructions. */
  uint32_t max_blocks;
  /** Targets of one br_table. */
  uint32_t max_branch_targets;
  /** One function's estimated cost of compilation: instructions, values alive at each branch, locals assigned in loops. */
  uint32_t max_function_work;
  /** The sum of that over all functions. */
  uint32_t max_module_work;
} weir_admit_limits;

/** From `rewritten` on, an instruction at rewritten + n stood at original + n; offsets from the module's first byte. */
typedef struct weir_offset_pair {
  uint32_t rewritten;
  /** WEIR_NO_ORIGINAL where the bytes are a helper's. */
  uint32_t original;
} weir_offset_pair;

/** There is no such place in the original module: the frame is a helper's, look at its caller's. */
#define WEIR_NO_ORIGINAL UINT32_MAX

/** What weir_admit found out about one module. */
typedef struct weir_admission weir_admission;

/** weir_admit: the module may run. */
#define WEIR_ADMITTED 0
/** weir_admit: the module is refused; the report says why. */
#define WEIR_REFUSED 1

/**
 * Verifies and rewrites a module and proves the outcome. Takes milliseconds to seconds, uses no other state than its
 * arguments, and can be called by several threads at once.
 * @param module Its bytes; nobody may write to them meanwhile.
 * @param limits NULL for all defaults.
 * @param out Receives an admission in both cases; weir_admission_delete frees it.
 * @return WEIR_ADMITTED or WEIR_REFUSED.
 */
int weir_admit(const uint8_t *module, size_t module_bytes, const weir_admit_limits *limits, weir_admission **out);

/** The rewritten module, valid until the admission is deleted; NULL if it was refused. */
const uint8_t *weir_admission_module(const weir_admission *admission, size_t *bytes);

/**
 * The report as one JSON object in UTF-8, zero-terminated; `bytes` does not count the zero. No string in it holds a
 * control character.
 *
 *     {"admitted": bool,
 *      "errors": [{"rule", "section", "function": index or null, "functionName": or null, "offset": or null,
 *                  "message", "mend"}],             at most 20
 *      "errorsLeftOut": count,  "warnings": [text],
 *      "abi": number or null,   "memoryPages": number, "functions": number,
 *      "imports": ["module.name"], "exports": ["name"],
 *      "dataEnd": address, "bulk": {"copy": n, "fill": n, "init": n}, "sourceMappingUrl": text or null}
 */
const char *weir_admission_report(const weir_admission *admission, size_t *bytes);

/** The offset map in ascending order, valid until the admission is deleted. May be stored: it has no pointers. */
const weir_offset_pair *weir_admission_offset_map(const weir_admission *admission, size_t *pairs);

/** Frees an admission and what it gave out. NULL is allowed. */
void weir_admission_delete(weir_admission *admission);

/**
 * Where the instruction at `rewritten` (as wasm_frame_module_offset gives it) stood in the original module: the last pair
 * at or before it decides. WEIR_NO_ORIGINAL if nowhere.
 */
uint32_t weir_original_offset(const weir_offset_pair *map, size_t pairs, uint32_t rewritten);

#ifdef __cplusplus
}
#endif

#endif
