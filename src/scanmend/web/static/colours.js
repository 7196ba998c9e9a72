/** Colours for heights: perceptually uniform, so that equal steps look equal. */

/** Each map as 33 colours, evenly spaced, linear in between. The first three follow Matplotlib's. */
const MAPS = {
  inferno:
    "0000040403120b0724150b37210c4a2e0a5a3c09654a0c6b57106d63146e70196e" +
    "7d1e6d89226a962766a32b61af315cbb3755c63e4dd14644db4f3be35932eb6528" +
    "f1711ef67f14f98d0afb9c06fcab0ffbba1ff9ca32f5d949f2e865f3f586fcffa4",
  viridis:
    "440154470d6048186a482374472d7b4536814240863f49893b528b375a8d33638d" +
    "2f6a8e2c728e297a8e26818e23898e21908c1f988b1f9f8821a68528ae8031b57b" +
    "3ebc744cc26c5dc9636ece5882d34c96d83fabdc32c0df24d5e21aeae51afde725",
  cividis:
    "00224e00285b002e6a0433711a386f273e6e32436d3b496c434e6c4b546c52596d" +
    "5a5f6e61656f686a716f70737576767c7b788481798b8778938d789b9376a39a75" +
    "aba072b3a670bbad6cc3b469ccba64d4c15fddc958e6d051efd748f8df3cfee838",
  gold:
    "000000190700250e003011003b1500471900511e005c2300662900702f007a3600" +
    "833d008c4500954c009e5400a75c00af6505b76e10be771cc58027cb8a32d1933e" +
    "d79d4adda658e2b066e7ba75ecc485f1ce96f5d7a7f9e1bafcebcefff5e4ffffff",
  grey:
    "0000000b0b0b1414141a1a1a2121212727272e2e2e3434343b3b3b4242424a4a4a" +
    "5151515858586060606767676f6f6f7777777f7f7f8787878f8f8f9797979f9f9f" +
    "a8a8a8b0b0b0b9b9b9c1c1c1cacacad2d2d2dbdbdbe4e4e4edededf6f6f6ffffff",
  difference:
    "015784016192026ba00075af017fbe1489cb3e92d0579cd46da6d980afdd92b9e2" +
    "a3c3e6b4cdeac4d7eed5e2f1e5ecf5f6f6f6f6e8e6f3dbd7f0cec9ecc1bae8b4ac" +
    "e3a79ede9a91d88d83d28076cc7469c5675dbe5a51b64d45af3f39a7312e9f2023",
};

/** Those to choose from for an image; "difference" is for what has a sign. */
export const CHOICES = ["inferno", "viridis", "cividis", "gold", "grey"];

const NOT_MEASURED = [0x8d, 0x99, 0xa6];
const STEPS = 256;

/** 256 pixels of the map `name` and one for what was not measured, as in an ImageData. */
export function table(name) {
  const colours = MAPS[name].match(/../g).map((pair) => parseInt(pair, 16));
  const out = new Uint8ClampedArray(4 * (STEPS + 1)).fill(255);
  for (let i = 0; i < STEPS; i++) {
    const at = (i / (STEPS - 1)) * (colours.length / 3 - 1);
    const below = Math.min(Math.floor(at), colours.length / 3 - 2);
    for (let c = 0; c < 3; c++) {
      const [a, b] = [colours[3 * below + c], colours[3 * below + 3 + c]];
      out[4 * i + c] = a + (at - below) * (b - a);
    }
  }
  out.set(NOT_MEASURED, 4 * STEPS);
  return new Uint32Array(out.buffer);
}

const LINE = 1024; // values at a time, so that a browser compiles the loop at once

/** Puts values into the pixels of an ImageData: `low` is the first colour, `high` the last. */
export function paint({ data }, values, low, high, colours) {
  const pixels = new Uint32Array(data.buffer);
  const scale = STEPS / (high - low);
  for (let from = 0; from < values.length; from += LINE) {
    paintLine(pixels, values, from, Math.min(from + LINE, values.length), low, scale, colours);
  }
}

function paintLine(pixels, values, from, to, low, scale, colours) {
  for (let i = from; i < to; i++) {
    const step = (values[i] - low) * scale;
    if (step !== step) pixels[i] = colours[STEPS];
    else pixels[i] = colours[step < 0 ? 0 : step >= STEPS ? STEPS - 1 : step | 0];
  }
}
