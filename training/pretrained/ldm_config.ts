/** The configuration file beside a latent diffusion model, with the settings that the weights do not determine. */
import * as z from "zod";
import type { Settings } from "../presets.ts";

/** The contents of the file. */
export interface LdmConfig {
  /** Settings of the run; the command line overrides them. */
  readonly settings: Settings;
  /** The factor of the latents, used if the weights do not contain it. */
  readonly scaleFactor: number;
}

const count = z.int().min(1);

/** The parts of the file that are read, by their names. */
const SCHEMA = z.object({
  model: z.object({
    params: z.object({
      parameterization: z.enum(["eps", "x0", "v"]).default("eps"),
      image_size: count.optional(),
      scale_factor: z.number().positive().default(1),
      unet_config: z.object({
        params: z.object({
          num_heads: z.int().default(-1),
          num_head_channels: z.int().default(-1),
          dropout: z.number().min(0).lt(1).default(0),
          use_new_attention_order: z.literal(false).optional(),
        }),
      }),
      first_stage_config: z.object({
        params: z.object({ ddconfig: z.object({ ch_mult: z.array(count).min(1) }) }),
      }).optional(),
    }),
  }),
});

const PREDICTIONS = { eps: "epsilon", x0: "x0", v: "v" } as const;

/** Reads the configuration of a latent diffusion model.
 * @param given the file's contents, parsed
 * @param path the name of the file in messages
 * @throws {RangeError} it is not such a configuration, or it needs something that this program does not support
 */
export function readLdmConfig(given: unknown, path: string): LdmConfig {
  const { data, error } = SCHEMA.safeParse(given);
  if (error !== undefined) {
    const [issue] = error.issues;
    throw new RangeError(
      `Cannot read ${path}: it must be the configuration of a latent diffusion model, got "${issue.message}" at ${
        issue.path.map(String).join(".") || "its top"
      }`,
    );
  }
  const { parameterization, image_size, scale_factor, unet_config, first_stage_config } =
    data.model.params;
  const { num_heads, num_head_channels, dropout } = unet_config.params;
  const levels = first_stage_config?.params.ddconfig.ch_mult.length;
  return {
    scaleFactor: scale_factor,
    settings: {
      objective: { prediction: PREDICTIONS[parameterization] },
      model: {
        dropout,
        ...num_head_channels > 0
          ? { headChannels: num_head_channels }
          : { headChannels: null, heads: Math.max(num_heads, 1) },
      },
      ...image_size !== undefined && levels !== undefined && {
        data: { size: image_size * 2 ** (levels - 1) },
      },
    },
  };
}
