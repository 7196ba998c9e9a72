/** An image with the way that the tip went drawn above. */

import { sizeOf } from "./scan.js";
import { Viewer } from "./viewer.js";

const APART = 6; // CSS pixels between the lines of the way that are drawn

/** Draws the tip's way above its image. */
export class Mapped extends Viewer {
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
  }
}
