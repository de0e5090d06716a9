/** The tape: the record of a computation, from which gradients are computed. */
import type { TapeNode, Tensor } from "./tensor.ts";

let recording = true;
let order = 0;

/** Whether recording is on. */
export function isRecording(): boolean {
  return recording;
}

/** The position of the next node in the order of execution. */
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

/** Records the last computation on the tape; its `order` is `nextOrder()`. */
export function recordNode(node: TapeNode): void {
  order++;
  for (const output of node.outputs) {
    if (output.dtype !== "float32") continue;
    output.requiresGradient = true;
    output.producer = node;
  }
}

/** The nodes that led to a result, from `since` on in the order of execution, the latest first. */
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
