export {decodeApiKey, type ApiKey} from './api-key.ts'
export {discoverOperator, type Discovery} from './discovery.ts'
export {checkLicence, type LicenceInput} from './licence.ts'
