import assert from "node:assert/strict";
import fc from "fast-check";
import { quoteSbatch, quoteShell } from "../../studies/launchers/shell.ts";

/** Words of everything that means something to a shell, and of any other characters. */
const letters = fc.oneof(
  fc.constantFrom(...` '"\\$\`!*?[]{}()<>|&;#~=%^-+,:@/aé`),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
);
const words = fc.array(letters, { maxLength: 12 }).map((parts) => parts.join(""));
const hasControls = (word: string) => /[\p{Cc}\u2028\u2029]/u.test(word) || !word.isWellFormed();

/** What a shell makes of a script, which ends every word with a NUL. */
async function read(shell: string, script: string): Promise<readonly string[]> {
  const { success, stdout, stderr } = await new Deno.Command(shell, {
    args: ["-c", script],
    env: { LC_ALL: "C.UTF-8" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(stdout).split("\0").slice(0, -1);
}

for (const shell of ["sh", "bash"]) {
  Deno.test(`${shell} reads a quoted word as the original word, whatever it contains`, async () => {
    const plain = fc.array(words.filter((word) => !hasControls(word)), {
      minLength: 1,
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(plain, async (given) => {
        const quoted = given.map(quoteShell).join(" ");
        assert.deepEqual(await read(shell, `printf '%s\\0' ${quoted}`), given);
        const assigned = given.map((word) => `v=${quoteShell(word)}; printf '%s\\0' "$v"`);
        assert.deepEqual(await read(shell, assigned.join("\n")), given);
      }),
      { numRuns: 40 },
    );
  });

  Deno.test(`in ${shell}, nothing escapes from a word, or from a command inside a command`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "codebook shell-" });
    try {
      const hostile = [
        "; touch ran",
        "$(touch ran)",
        "`touch ran`",
        "' ; touch ran; '",
        "&& touch ran",
      ];
      const command = `cd ${quoteShell(folder)}; : ${hostile.map(quoteShell).join(" ")}`;
      await read(shell, command);
      await read(shell, `${shell} -c ${quoteShell(command)}`);
      assert.deepEqual([...Deno.readDirSync(folder)], []);
    } finally {
      await Deno.remove(folder);
    }
  });
}

Deno.test("only words with control characters are rejected", () => {
  fc.assert(fc.property(words, (word) => {
    for (const quote of [quoteShell, quoteSbatch]) {
      if (!hasControls(word)) quote(word);
      else {
        assert.throws(() => quote(word), {
          name: "RangeError",
          message: /^Cannot write a command: its words must have no control characters, got "/,
        });
      }
    }
  }));
  for (const word of ["a\nb", "a\rb", "a\0b", "a\x1bb", "a\u0085b", "a\u2028b", "a\ud800b"]) {
    assert.throws(() => quoteShell(word), RangeError);
  }
});

/** The first argument of a line of `#SBATCH`, by sbatch's rules: quotes of both kinds group, a backslash takes the next
 * character as it is, spaces and # end it. */
function sbatchArgument(line: string): string {
  let argument = "", quote = "";
  for (let at = 0; at < line.length; at++) {
    const letter = line[at];
    if (letter === "\\") argument += line[++at] ?? "";
    else if (quote !== "") {
      if (letter === quote) quote = "";
      else argument += letter;
    } else if (letter === '"' || letter === "'") quote = letter;
    else if (/[\s#]/.test(letter)) break;
    else argument += letter;
  }
  return argument;
}

Deno.test("sbatch reads a value on an #SBATCH line literally, never as another option", () => {
  fc.assert(fc.property(words.filter((word) => !hasControls(word)), (word) => {
    assert.equal(sbatchArgument(`--output=${quoteSbatch(word)} --wrap=no`), `--output=${word}`);
  }));
});
