/** An image with what is known of it drawn above: where defects are, where the tip went. */

import { sizeOf } from "./scan.js";
import { Viewer } from "./viewer.js";

export const RING_NM = 0.22; // radius
const APART = 6; // CSS pixels between the lines of the way that are drawn

/** Draws rings around defects, and the tip's way, above its image. */
export class Mapped extends Viewer {
  /** Places [x, y] of defects, nm. */
  rings = [];
  /** Of the way: x and y, nm, and how many lines there are; or null. */
  way = null;

  drawNow() {
    super.drawNow();
    if (!this.pictures.length) return;
    const { context, canvas } = this;
    const { centre, scale } = this.view;
    const x = (nm) => (nm - centre[1]) / scale + canvas.clientWidth / 2;
    const y = (nm) => (nm - centre[0]) / scale + canvas.clientHeight / 2;
    if (this.way) {
      const [acrossNm, downNm, lines] = this.way;
      const every = Math.max(1, Math.ceil((APART * lines * scale) / Math.max(...sizeOf(this.pictures[0].scan))));
      context.beginPath();
      for (let line = 0; line < lines; line += every) {
        const [from, to] = [line, line + 1].map((n) => Math.round((n * acrossNm.length) / lines));
        for (let i = from; i < to; i++) {
          if (i === from) context.moveTo(x(acrossNm[i]), y(downNm[i]));
          else context.lineTo(x(acrossNm[i]), y(downNm[i]));
        }
      }
      for (const [colour, wide] of [["#0008", 2.5], ["#00e5ff", 1]]) {
        context.strokeStyle = colour;
        context.lineWidth = wide;
        context.stroke();
      }
    }
    for (const [colour, wide] of [["#000a", 3.5], ["#fff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      for (const [atX, atY] of this.rings) {
        context.beginPath();
        context.arc(x(atX), y(atY), Math.max(5, RING_NM / scale), 0, 2 * Math.PI);
        context.stroke();
      }
    }
    canvas.dataset.rings = String(this.rings.length); // a canvas cannot be read
  }
}
