/** A line of `metrics.jsonl`. */
export type RunRecord = Readonly<Record<string, unknown>> & { readonly step: number };
