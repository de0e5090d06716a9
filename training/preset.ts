/** The type of presets. */

/** Settings by section and name, as in configuration files. */
export type Settings = { readonly [name: string]: unknown };
