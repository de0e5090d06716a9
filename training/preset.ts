/** The type of presets. */

/** Settings by section and name, as configuration files hold them. */
export type Settings = { readonly [name: string]: unknown };
