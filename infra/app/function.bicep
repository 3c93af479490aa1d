// The function app on Flex Consumption. Its settings are in settings.bicep: some need its host name first.

@description('Name of the app.')
@minLength(2)
@maxLength(60)
param name string
@description('Name of its plan.')
@minLength(1)
@maxLength(60)
param planName string
@description('Region.')
param location string
@description('Tags, with azd\'s name of the service.')
param tags object
@description('Resource id of the identity.')
param identityId string
@description('The container that the app\'s package is put in.')
param deploymentContainerUrl string
@description('The most instances that each function scales to.')
param maximumInstanceCount int
@description('Memory of an instance.')
param instanceMemoryMB int
@description('The subnet that the app goes out by; empty for none.')
param subnetId string

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    // Linux.
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: '3.13'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
      }
    }
  }
}

// Nobody deploys by a user name and a password. One after the other: Azure refuses two changes of an app at once.
@batchSize(1)
resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [
  for kind in ['ftp', 'scm']: {
    parent: app
    name: kind
    properties: {
      allow: false
    }
  }
]

output name string = app.name
output hostName string = app.properties.defaultHostName
