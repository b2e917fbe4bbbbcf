import { loadModel } from '$lib/models/load';
import { nameOf } from '$lib/models/names';
import type { PageLoad } from './$types';

/** A model without an owner: one of the directory of local models. */
export const load: PageLoad = ({ params }) => loadModel(nameOf(params.owner));
