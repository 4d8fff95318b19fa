/** What admission says about a module. */

/** The addon's report, as far as people are shown it. */
export interface AdmissionReport {
  readonly errors: readonly {
    readonly rule: string;
    readonly section: string;
    readonly function: number | null;
    readonly functionName: string | null;
    readonly offset: number | null;
    readonly message: string;
    readonly mend: string;
  }[];
  /** Errors beyond those listed. */
  readonly errorsLeftOut: number;
  readonly warnings: readonly string[];
  readonly abi: number | null;
  readonly memoryPages: number;
  readonly functions: number;
  readonly imports: readonly string[];
  readonly exports: readonly string[];
}

/** One reason why a module is not admitted. */
export interface ModuleProblem {
  /** Name of the rule that is broken. */
  readonly rule: string;
  readonly message: string;
  /** Where in the module: section, function, offset; "" when it is about all of it. */
  readonly place: string;
  /** What mends it; "" when the message says it all. */
  readonly hint: string;
}

/** The module is not admitted. */
export class RefusedError extends Error {
  constructor(
    message: string,
    readonly hint: string,
    readonly problems: readonly ModuleProblem[] = [],
  ) {
    super(message);
    this.name = "RefusedError";
  }
}

/** Reads the report; fields that are not there are empty. Throws when the text is not a JSON object. */
export function parseReport(text: string): AdmissionReport {
  const given = JSON.parse(text) as Partial<AdmissionReport>;
  return {
    errors: given.errors ?? [],
    errorsLeftOut: given.errorsLeftOut ?? 0,
    warnings: given.warnings ?? [],
    abi: given.abi ?? null,
    memoryPages: given.memoryPages ?? 0,
    functions: given.functions ?? 0,
    imports: given.imports ?? [],
    exports: given.exports ?? [],
  };
}

/** The errors of a report. */
export function problemsOf(report: AdmissionReport): ModuleProblem[] {
  return report.errors.map((error) => {
    const functionName = error.functionName ?? (error.function === null ? "" : `#${error.function}`);
    const place = [
      error.section === "" ? "" : `section ${error.section}`,
      functionName === "" ? "" : `function ${functionName}`,
      error.offset === null ? "" : `offset 0x${error.offset.toString(16)}`,
    ];
    return {
      rule: error.rule,
      message: error.message,
      place: place.filter((part) => part !== "").join(", "),
      hint: error.mend,
    };
  });
}
