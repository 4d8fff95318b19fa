/** Log lines with a level. console.log and its kin work as well. */
export declare function debug(text: string): void;
export declare function info(text: string): void;
export declare function warn(text: string): void;
export declare function error(text: string): void;
