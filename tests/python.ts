/** Python for tests of what is said to work with it. */

/** A Python that has a module, as Debian's package brings it; none if there is none, which is then printed.
 * @param consequence what is not tested without it
 * @throws {Error} CI is set and there is none
 */
export async function findPython(
  module: string,
  debianPackage: string,
  consequence: string,
): Promise<string | undefined> {
  for (const name of ["/usr/bin/python3", "python3"]) {
    const test = new Deno.Command(name, { args: ["-c", `import ${module}`], stderr: "null" });
    if (await test.output().then(({ success }) => success, () => false)) return name;
  }
  const missing = `MISSING ${debianPackage}: ${consequence}`;
  if (Deno.env.get("CI") !== undefined) throw new Error(missing);
  console.log(missing);
}
