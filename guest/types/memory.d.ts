/** Memory as addresses: blocks outside of the garbage collector, searching, copying. */

/**
 * A block of at least `bytes`, at a multiple of 16, until release(). What is in it is undefined. Ends the instance when the
 * memory has no room for it.
 */
export declare function reserve(bytes: u32): usize;
/** Gives a block of reserve() back. */
export declare function release(block: usize): void;
/** Bytes that are neither reserved nor used by objects. What is left of them is all that objects have to live in. */
export declare function availableBytes(): u32;
/** Address of the first byte from `at` on, before `end`, that is `byte`; 0 if there is none. */
export declare function findByte(at: usize, end: usize, byte: u8): usize;
/** Address of the first byte from `at` on, before `end`, that is `most` or less: what ends a word of text. 0 if none. */
export declare function findAtMost(at: usize, end: usize, most: u8): usize;
/** Copies bytes between places that do not overlap. */
export declare function copyBytes(to: usize, from: usize, length: u32): void;
