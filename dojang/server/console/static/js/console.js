// What every page loads. Each module adds one thing to pages that work without any of them.
import { listen as beside } from "./beside.js";
import { listen as clock } from "./clock.js";
import { listen as forms } from "./forms.js";
import { listen as help } from "./help.js";
import { listen as keys } from "./keys.js";
import { listen as list } from "./list.js";
import { listen as upload } from "./upload.js";
import { listen as panels } from "./panels.js";
import { listen as select } from "./select.js";
import { listen as talk } from "./talk.js";
import { listen as wire } from "./wire.js";

for (const listen of [upload, talk, forms, panels, help, list, keys, clock, beside, wire, select]) listen();
