/** How many images stand beside each other. */

const GAP_PX = 14; // between two places, with their borders
const MARKS_PX = { wide: 38, narrow: 70 }; // height of what is below an image; rate.css has it too
const LEAST_PX = 320; // that a place is wide, if there is room: its buttons are to be hit

/**
 * Gives a grid as many columns as make `count` images of a size [height, width] largest, in any
 * unit, above a line of `buttons`, or two where they need them.
 */
export function arrange(grid, count, [height, width], buttons) {
  if (!grid.clientWidth) return;
  const oneLine = 140 + 31 * buttons; // CSS pixels
  const choices = Array.from({ length: count }, (_, i) => {
    const columns = i + 1;
    const wide = grid.clientWidth / columns - GAP_PX;
    const below = wide < oneLine ? MARKS_PX.narrow : MARKS_PX.wide;
    const tall = grid.clientHeight / Math.ceil(count / columns) - GAP_PX - below;
    return { columns, wide, tall, below, scale: Math.min(wide / width, tall / height) };
  });
  const best = choices.reduce((a, b) => (b.scale > a.scale * 1.001 ? b : a));
  grid.toggleAttribute("data-narrow", best.below === MARKS_PX.narrow);
  grid.style.gridTemplateColumns = `repeat(${best.columns}, ${Math.floor(Math.max(best.scale * width, Math.min(best.wide, Math.max(LEAST_PX, best.below === MARKS_PX.wide ? oneLine : 0))))}px)`;
  grid.style.gridAutoRows = `${Math.floor(Math.min(best.scale * height, best.tall) + best.below + 4)}px`;
}
