/** Multinomial diffusion, against every chain of codes that there is. */
import assert from "node:assert/strict";
import { randomKey } from "../../../core/random.ts";
import { MultinomialDiffusion } from "../../../objectives/diffusion/multinomial.ts";

const SIZES = [[1, 3], [2, 4], [3, 2], [5, 5]] as const;

/** q(x_0 → x_1 → … → x_T) by the definition of a step alone, for every chain that begins with code 0. */
function chains(diffusion: MultinomialDiffusion): { codes: number[]; probability: number }[] {
  const { steps, codebookSize } = diffusion;
  let all = [{ codes: [0], probability: 1 }];
  for (let t = 1; t <= steps; t++) {
    const beta = 1 - diffusion.stays(t);
    all = all.flatMap(({ codes, probability }) =>
      Array.from({ length: codebookSize }, (_, code) => ({
        codes: [...codes, code],
        probability: probability *
          ((code === codes.at(-1) ? 1 - beta : 0) + beta / codebookSize),
      }))
    );
  }
  return all;
}

/** The distribution of one end of some chains. */
function distribution(
  all: readonly { codes: number[]; probability: number }[],
  size: number,
  t: number,
): number[] {
  const sums = new Array<number>(size).fill(0);
  for (const { codes, probability } of all) sums[codes[t]] += probability;
  const total = sums.reduce((a, b) => a + b);
  return sums.map((sum) => sum / total);
}

const close = (got: readonly number[], wanted: readonly number[], what: string) =>
  got.forEach((value, at) =>
    assert.ok(Math.abs(value - wanted[at]) < 1e-12, `${what}: [${got}] and [${wanted}]`)
  );

for (const [steps, codebookSize] of SIZES) {
  const diffusion = new MultinomialDiffusion({ steps, codebookSize });

  Deno.test(`the distribution after each of ${steps} steps agrees with enumeration of ${codebookSize} codes`, () => {
    const all = chains(diffusion);
    for (let t = 0; t <= steps; t++) {
      const kept = diffusion.kept(t);
      const wanted = Array.from(
        { length: codebookSize },
        (_, code) => (code === 0 ? kept : 0) + (1 - kept) / codebookSize,
      );
      close(distribution(all, codebookSize, t), wanted, `step ${t}`);
    }
    assert.equal(diffusion.kept(steps), 0, "nothing is left at the end");
  });

  Deno.test(`the posterior before each of ${steps} steps agrees with enumeration of ${codebookSize} codes`, () => {
    const all = chains(diffusion);
    for (let t = 1; t <= steps; t++) {
      for (let after = 0; after < codebookSize; after++) {
        const those = all.filter(({ codes }) => codes[t] === after);
        const wanted = distribution(those, codebookSize, t - 1);
        const { original, noisy, uniform, entropy } = diffusion.posterior(t, after === 0);
        const got = wanted.map((_, code) =>
          (code === 0 ? original : 0) + (code === after ? noisy : 0) + uniform / codebookSize
        );
        close(got, wanted, `step ${t}, then ${after}`);
        const surprise = wanted.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
        assert.ok(Math.abs(entropy - surprise) < 1e-12, `${entropy} and ${surprise}`);
      }
    }
  });
}

Deno.test("codes are replaced at the scheduled rate, uniformly by all codes", () => {
  const steps = 3, codebookSize = 4, length = 20_000;
  const diffusion = new MultinomialDiffusion({ steps, codebookSize });
  const range = { count: 1, length, first: 0, key: randomKey(1, "noise") };
  let codes: Int32Array = new Int32Array(length);
  for (let t = 1; t <= steps; t++) {
    codes = diffusion.noise(codes, t, range);
    const kept = diffusion.kept(t);
    for (let code = 0; code < codebookSize; code++) {
      const share = codes.filter((own) => own === code).length / length;
      const wanted = (code === 0 ? kept : 0) + (1 - kept) / codebookSize;
      assert.ok(Math.abs(share - wanted) < 0.012, `step ${t}: ${share} of ${code}, not ${wanted}`);
    }
  }
  const none = new Int32Array(length).fill(-1);
  assert.deepEqual(diffusion.noise(none, steps, range), none, "what is no code stays none");
});

Deno.test("the draws for an image depend only on its number and the key", () => {
  const diffusion = new MultinomialDiffusion({ steps: 2, codebookSize: 9 });
  const key = randomKey(1, "noise"), length = 7;
  const four = diffusion.replacements(1, { count: 4, length, first: 3, key });
  const two = diffusion.replacements(1, { count: 2, length, first: 5, key });
  assert.deepEqual(two, four.subarray(2 * length));
  assert.notDeepEqual(four.subarray(0, length), four.subarray(length, 2 * length));
  const others = [
    diffusion.replacements(2, { count: 2, length, first: 5, key }),
    diffusion.replacements(1, { count: 2, length, first: 5, key: randomKey(2, "noise") }),
  ];
  for (const other of others) assert.notDeepEqual(other, two);
});
