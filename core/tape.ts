/** The tape: what is recorded of a computation, so that gradients can be taken through it. */
import type { TapeNode, Tensor } from "./tensor.ts";

let recording = true;
let order = 0;

/** Whether what is computed now is recorded. */
export function isRecording(): boolean {
  return recording;
}

/** The place in the order of execution of what is recorded next. */
export function nextOrder(): number {
  return order;
}

/** Runs `body` with recording on or off. */
export function whileRecording<T>(on: boolean, body: () => T): T {
  const before = recording;
  recording = on;
  try {
    return body();
  } finally {
    recording = before;
  }
}

/** Puts what was computed last on the tape; `order` of it is `nextOrder()`. */
export function recordNode(node: TapeNode): void {
  order++;
  for (const output of node.outputs) {
    if (output.dtype !== "float32") continue;
    output.requiresGradient = true;
    output.producer = node;
  }
}

/** What led to a result since a place in the order of execution, the latest first. */
export function trace(result: Tensor, since = 0): TapeNode[] {
  const found = new Set<TapeNode>();
  const open = [result.producer];
  while (open.length > 0) {
    const node = open.pop();
    if (node === undefined || node.order < since || found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs) open.push(input.producer);
  }
  return [...found].sort((a, b) => b.order - a.order);
}
