/** The assertions of `node:assert/strict` that the checks of operations use, for a browser. */

function fail(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

export default {
  ok: (value: unknown, message = "a value must be true") => fail(Boolean(value), message),
  equal: (a: unknown, b: unknown, message = "values must be equal") =>
    fail(Object.is(a, b), `${message}: ${a} and ${b}`),
  deepEqual: (a: unknown, b: unknown, message = "values must be equal") =>
    fail(same(a, b), `${message}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`),
};
