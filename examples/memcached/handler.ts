import { listen } from "@weir/guest/tcp";
import { Client } from "./client";

listen<Client>();
