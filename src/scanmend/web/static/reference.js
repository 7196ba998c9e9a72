/** The page of the HTTP interface: the bar above it. */

import { frame } from "./frame.js";

frame([["?", "this list"]]);
