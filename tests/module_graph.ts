/** The module graph that Deno itself sees. */

/** The project's folder. */
export const ROOT: URL = new URL("../", import.meta.url);

/** A module with what it imports. */
export interface Module {
  /** Its address. */
  readonly specifier: string;
  /** Its imports: the code that runs, and types. */
  readonly dependencies?: readonly {
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
  }[];
}

/** Every module that Deno finds from one of the project's, packages by their `npm:` address. */
export async function modulesFrom(path: string): Promise<readonly Module[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL(path, ROOT).href],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout)).modules;
}

/** The addresses of the code that one of the project's modules reaches, itself first: what is fetched with it. Those of the
 * project stand as paths. */
export async function reached(path: string): Promise<readonly string[]> {
  const modules = new Map((await modulesFrom(path)).map((module) => [module.specifier, module]));
  const found = new Set([new URL(path, ROOT).href]);
  for (const specifier of found) { // A set gives what is added on the way too.
    for (const { code } of modules.get(specifier)?.dependencies ?? []) {
      if (code?.specifier !== undefined) found.add(code.specifier);
    }
  }
  return [...found].map((specifier) =>
    specifier.startsWith(ROOT.href) ? specifier.slice(ROOT.href.length) : specifier
  );
}
