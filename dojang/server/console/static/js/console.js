// What every page loads. Each module adds one thing to pages that work without any of them.
import { listen as clock } from "./clock.js";
import { listen as forms } from "./forms.js";
import { listen as help } from "./help.js";
import { listen as keys } from "./keys.js";
import { listen as list } from "./list.js";
import { listen as panels } from "./panels.js";
import { listen as select } from "./select.js";

for (const listen of [forms, panels, help, list, keys, clock, select]) listen();
