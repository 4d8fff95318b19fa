/** What weir.toml gave the app. */
/** Value of an entry of [vars], or null. */
export declare function variable(name: string): string | null;
